# Bodies that carry a file: multipart and JSON with long strings.  What is well
# formed gets as far as the instance, which does not exist here.

use Test::Nginx::Socket 'no_plan';

no_shuffle();
no_root_location();

our $Common = <<'END';
    wagw_state_dir $TEST_NGINX_SERVER_ROOT/wagw;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
    wagw_api_key test-master-key-of-the-tests;
    client_max_body_size 4m;
END

our $Type = 'multipart/form-data; boundary=xx';

# a request with this body and type
sub post {
    my ($body, $type) = @_;

    $type ||= $Type;
    return "POST /api/message/send/image HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "X-API-Key: test-master-key-of-the-tests\r\nContent-Type: $type\r\nContent-Length: " . length($body)
        . "\r\n\r\n" . $body;
}

sub part {
    my ($name, $value, $more) = @_;

    return "--xx\r\nContent-Disposition: form-data; name=\"$name\"" . ($more || '') . "\r\n\r\n$value\r\n";
}

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value('http_config', $Common);
    $block->set_value('config', "location / {\n    wagw on;\n}\n");
});

run_tests();

__DATA__

=== TEST 1: fields and a file
--- raw_request eval
::post(::part('instanceId', 'none') . ::part('to', '4915550000') . ::part('file', "a\r\n--x\0b", '; filename="p.png"') . "--xx--\r\n")
--- error_code: 404
--- response_body_like: INSTANCE_NOT_FOUND



=== TEST 2: something before the first delimiter and behind the last, a quoted boundary
--- raw_request eval
::post("preamble\r\n" . ::part('instanceId', 'none') . ::part('to', '4915550000') . "--xx--\r\nepilogue",
    'multipart/form-data; charset=utf-8; boundary="xx"')
--- error_code: 404
--- response_body_like: INSTANCE_NOT_FOUND



=== TEST 3: a file of nothing
--- raw_request eval
::post(::part('instanceId', 'none') . ::part('to', '4915550000') . ::part('file', '', '; filename="p.png"') . "--xx--")
--- error_code: 404
--- response_body_like: INSTANCE_NOT_FOUND



=== TEST 4: no boundary
--- raw_request eval
::post(::part('instanceId', 'none') . "--xx--\r\n", 'multipart/form-data; charset=utf-8')
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 5: a boundary that is too long
--- raw_request eval
::post('--' . ('x' x 71) . "--\r\n", 'multipart/form-data; boundary=' . ('x' x 71))
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 6: cut off within a part
--- raw_request eval
::post(::part('instanceId', 'none') . "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc")
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 7: cut off within the headers of a part
--- raw_request eval
::post(::part('instanceId', 'none') . "--xx\r\nContent-Disp")
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 8: headers of a part that do not end
--- raw_request eval
::post("--xx\r\nX: " . ('y' x 6000) . "\r\n\r\nv\r\n--xx--\r\n")
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 9: a part without a name
--- raw_request eval
::post("--xx\r\nContent-Type: text/plain\r\n\r\nv\r\n--xx--\r\n")
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 10: nothing but a delimiter
--- raw_request eval
::post('--xx')
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 11: a field that is too long
--- raw_request eval
::post(::part('caption', 'c' x 65537) . "--xx--\r\n")
--- error_code: 400
--- response_body_like: "field":"caption","reason":"too long"



=== TEST 12: a field that is not UTF-8
--- raw_request eval
::post(::part('caption', "\xff\xfe") . "--xx--\r\n")
--- error_code: 400
--- response_body_like: "field":"caption","reason":"must be UTF-8



=== TEST 13: too many parts
--- raw_request eval
::post(join('', map { ::part("f$_", 'v') } 1 .. 101) . "--xx--\r\n")
--- error_code: 400
--- response_body_like: "field":"body","reason":"is not well-formed



=== TEST 14: fields are checked as those of JSON
--- raw_request eval
::post(::part('instanceId', '') . ::part('viewOnce', 'perhaps') . "--xx--\r\n")
--- error_code: 400
--- response_body_like: (?=.*"field":"instanceId")(?=.*"field":"viewOnce")(?=.*"field":"to")



=== TEST 15: a long string where a file may stand
--- raw_request eval
::post('{"instanceId":"none","to":"4915550000","imageBase64":"' . ('A' x 900000) . '"}', 'application/json')
--- error_code: 404
--- response_body_like: INSTANCE_NOT_FOUND



=== TEST 16: in an object, with escapes
--- raw_request eval
::post('{"image":{"base64":"' . ('A\/\"' x 300000) . '"},"instanceId":"none","to":"4915550000"}', 'application/json')
--- error_code: 404
--- response_body_like: INSTANCE_NOT_FOUND



=== TEST 17: a long string elsewhere
--- raw_request eval
::post('{"instanceId":"none","to":"4915550000","a":{"b":["' . ('A' x 900000) . '"]}}', 'application/json')
--- error_code: 400
--- response_body_like: "field":"body","reason":"a string is too long"



=== TEST 18: much that is no string
--- raw_request eval
::post('{"a":[' . ('1,' x 600000) . '1]}', 'application/json')
--- error_code: 413
--- response_body_like: BODY_TOO_LARGE



=== TEST 19: more long strings than files can be meant
--- raw_request eval
::post('{' . join(',', map { "\"k$_\":\"" . ('A' x 410000) . '"' } 1 .. 9) . '}', 'application/json')
--- error_code: 413
--- response_body_like: BODY_TOO_LARGE



=== TEST 20: broken JSON around a long string
--- raw_request eval
::post('{"imageBase64":"' . ('A' x 900000) . '",}', 'application/json')
--- error_code: 400
--- response_body_like: INVALID_JSON



=== TEST 21: a long string that does not end
--- raw_request eval
::post('{"imageBase64":"' . ('A' x 900000), 'application/json')
--- error_code: 400
--- response_body_like: INVALID_JSON



=== TEST 22: a form
--- raw_request eval
::post('instanceId=none&to=4915550000&image=QUJD', 'application/x-www-form-urlencoded')
--- error_code: 404
--- response_body_like: INSTANCE_NOT_FOUND



=== TEST 23: another type
--- raw_request eval
::post('abc', 'text/plain')
--- error_code: 415
--- response_body_like: UNSUPPORTED_MEDIA



=== TEST 24: no body
--- raw_request eval
::post('', 'application/json')
--- error_code: 400
--- response_body_like: "field":"instanceId","reason":"required"



=== TEST 25: multipart where no file is taken
--- raw_request eval
(my $r = ::post(::part('name', 'x') . "--xx--\r\n")) =~ s{/api/message/send/image}{/api/instance/create};
$r
--- error_code: 415
--- response_body_like: UNSUPPORTED_MEDIA



=== TEST 26: an upload to an instance that is not there
--- raw_request eval
(my $r = ::post(::part('type', 'image') . "--xx--\r\n")) =~ s{/api/message/send/image}{/api/media/none};
$r
--- error_code: 404
--- response_body_like: INSTANCE_NOT_FOUND



=== TEST 27: an upload of a body of another type
--- raw_request eval
(my $r = ::post('abc', 'text/plain')) =~ s{/api/message/send/image}{/api/media/none};
$r
--- error_code: 415
--- response_body_like: UNSUPPORTED_MEDIA



=== TEST 28: an upload that is cut off
--- raw_request eval
(my $r = ::post("--xx\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc")) =~ s{/api/message/send/image}{/api/media/none};
$r
--- error_code: 400
--- response_body_like: is not well-formed multipart



=== TEST 29: a download with JSON that is none
--- raw_request eval
(my $r = ::post('{"type":', 'application/json')) =~ s{/api/message/send/image}{/api/media/none/download};
$r
--- error_code: 400
--- response_body_like: INVALID_JSON
