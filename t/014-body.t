# Request bodies: types, sizes, JSON, and fields of the route table.

use Test::Nginx::Socket 'no_plan';

no_shuffle();
no_root_location();

# nothing listens where WhatsApp is said to be, and no instance connects
our $Common = <<'END';
    wagw_state_dir $TEST_NGINX_SERVER_ROOT/wagw;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
END

our $Key = 'wagw_api_key test-master-key-of-the-tests;';

add_block_preprocessor(sub {
    my $block = shift;
    my $http  = $block->http_config;

    $block->set_value('http_config', $Common . (defined $http ? $http : $Key));
    if (!defined $block->config) {
        $block->set_value('config', "location / {\n    wagw on;\n}\n");
    }
    if (!defined $block->more_headers) {
        $block->set_value('more_headers', "X-API-Key: test-master-key-of-the-tests\nContent-Type: application/json\n");
    }
});

run_tests();

__DATA__

=== TEST 1: no body is an empty object
--- request
POST /api/instance/create
--- error_code: 400
--- response_body_like: "code":"VALIDATION_FAILED","details":\{"fields":\[\{"field":"name","reason":"required"\}\]\}



=== TEST 2: broken JSON
--- request
POST /api/instance/create
{"name":"x"
--- error_code: 400
--- response_body_like: "code":"INVALID_JSON"



=== TEST 3: something after the value
--- request
POST /api/instance/create
{"name":"x"} {"name":"y"}
--- error_code: 400
--- response_body_like: "code":"INVALID_JSON"



=== TEST 4: bytes that are not UTF-8
--- request eval
"POST /api/instance/create\n{\"name\":\"\xff\xfe\"}"
--- error_code: 400
--- response_body_like: "code":"INVALID_JSON"



=== TEST 5: nested too deep
--- request eval
"POST /api/instance/create\n" . ('{"a":' x 101) . '1' . ('}' x 101)
--- error_code: 400
--- response_body_like: "code":"INVALID_JSON"



=== TEST 6: a value that is no object
--- request
POST /api/instance/create
["name"]
--- error_code: 400
--- response_body_like: "code":"VALIDATION_FAILED"



=== TEST 7: a type that is not allowed
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: text/xml
--- request
POST /api/instance/create
<name/>
--- error_code: 415
--- response_body_like: "code":"UNSUPPORTED_MEDIA"



=== TEST 8: a form is taken as well
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: application/x-www-form-urlencoded
--- request
POST /api/instance/create
name=form%20one&id=form-1&autoConnect=false
--- error_code: 201
--- response_body_like: "id":"form-1","name":"form one"



=== TEST 9: parameters of the type do not matter
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: application/json; charset=utf-8
--- request
POST /api/instance/create
{"name":"x","id":"params-1","autoConnect":false}
--- error_code: 201



=== TEST 10: a chunked body
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: application/json
Transfer-Encoding: chunked
--- request
POST /api/instance/create
{"name":"x","id":"chunked-1","autoConnect":false}
--- error_code: 201



=== TEST 11: unknown fields are ignored
--- request
POST /api/instance/create
{"name":"x","id":"unknown-1","autoConnect":false,"fromTheFuture":{"a":[1,2]}}
--- error_code: 201



=== TEST 12: every wrong field is named
--- request
POST /api/instance/create
{"name":7,"autoConnect":"perhaps","webhookUrl":"ftp://x"}
--- error_code: 400
--- response_body_like: ^(?=.*"field":"name")(?=.*"field":"autoConnect")(?=.*"field":"webhookUrl").*"code":"VALIDATION_FAILED"



=== TEST 13: an id that cannot be one is refused
--- request
POST /api/instance/create
{"name":"x","id":"has space","autoConnect":false}
--- error_code: 400
--- response_body_like: "code":"VALIDATION_FAILED".*"field":"id"



=== TEST 14: a name has at most 100 characters, not bytes
--- request eval
["POST /api/instance/create\n{\"id\":\"long-1\",\"autoConnect\":false,\"name\":\"" . ("\xc3\xa9" x 100) . "\"}",
 "POST /api/instance/create\n{\"id\":\"long-2\",\"autoConnect\":false,\"name\":\"" . ("\xc3\xa9" x 101) . "\"}"]
--- error_code eval
[201, 400]



=== TEST 15: numbers and words in a query are checked
--- request eval
["GET /api/instance?limit=many", "GET /api/instance?status=zzz", "GET /api/instance?status=logged_out"]
--- error_code eval
[400, 400, 200]
--- response_body_like eval
['"field":"limit"', '"field":"status"', '"success":true']



=== TEST 16: client_max_body_size is the limit
--- config
    location / {
        wagw on;
        client_max_body_size 1k;
    }
--- request eval
"POST /api/instance/create\n{\"name\":\"" . ("x" x 2000) . "\"}"
--- error_code: 413
--- response_body_like: "code":"BODY_TOO_LARGE"



=== TEST 17: a body that nginx keeps in a file is read from there
--- config
    location / {
        wagw on;
        client_body_buffer_size 128;
    }
--- request eval
"POST /api/instance/create\n{\"name\":\"x\",\"id\":\"file-1\",\"autoConnect\":false,\"metadata\":{\"a\":\"" . ("y" x 4000) . "\"}}"
--- error_code: 201
--- response_body_like: "metadata":\{"a":"y{4000}"\}



=== TEST 18: the key is checked before the body is read
--- config
    location / {
        wagw on;
        client_max_body_size 10m;
    }
--- more_headers
Content-Type: application/json
--- request eval
"POST /api/instance/create\n{\"name\":"
--- error_code: 401
