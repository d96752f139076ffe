# Every directive: what it takes, what it refuses.

use Test::Nginx::Socket 'no_plan';

no_shuffle();
no_root_location();

# nothing listens where WhatsApp is said to be, and no instance connects
our $State = "wagw_state_dir \$TEST_NGINX_SERVER_ROOT/wagw;\n";
our $Url   = "wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;\n";

our $Key = 'wagw_api_key test-master-key-of-the-tests;';

add_block_preprocessor(sub {
    my $block = shift;
    my $http  = $block->http_config;

    $http = $Key if !defined $http;
    $http = $http =~ s/^#own-state\n// ? $http : $http =~ s/^#own-url\n// ? $State . $http : $State . $Url . $http;
    $block->set_value('http_config', $http);
    if (!defined $block->config) {
        $block->set_value('config', "location / {\n    wagw on;\n}\n");
    }
    if (!defined $block->more_headers) {
        $block->set_value('more_headers', "X-API-Key: test-master-key-of-the-tests\nContent-Type: application/json\n");
    }
});

run_tests();

__DATA__

=== TEST 1: a zone that is too small is refused
--- http_config
wagw_zone one 4k;
--- request
GET /
--- must_die



=== TEST 2: a zone without size is refused
--- http_config
wagw_zone one;
--- request
GET /
--- must_die



=== TEST 3: a store without a kind is refused
--- http_config
wagw_store wagw.db;
--- request
GET /
--- must_die



=== TEST 4: a key file that is not there is refused
--- http_config
wagw_api_key file:/nonexistent/key;
--- request
GET /
--- must_die



=== TEST 5: an encryption key of another length is refused
--- http_config
wagw_encryption_key_file $TEST_NGINX_HTML_DIR/index.html;
--- request
GET /
--- must_die



=== TEST 6: a WhatsApp address that is no socket is refused
--- http_config
#own-url
wagw_whatsapp_url http://127.0.0.1/;
--- request
GET /
--- must_die



=== TEST 7: a clear socket to another machine is refused
--- http_config
#own-url
wagw_whatsapp_url ws://192.0.2.1/ws/chat;
--- request
GET /
--- must_die



=== TEST 8: a root key of another length is refused
--- http_config
wagw_whatsapp_root 00ff;
--- request
GET /
--- must_die



=== TEST 9: half a version is refused
--- http_config
wagw_whatsapp_version 2.3000;
--- request
GET /
--- must_die



=== TEST 10: a network that is none is refused
--- http_config
wagw_outbound_allow somewhere;
--- request
GET /
--- must_die



=== TEST 11: an unknown compatibility is refused
--- http_config
wagw_compat old;
--- request
GET /
--- must_die



=== TEST 12: unknown event names is refused
--- http_config
wagw_event_names mine;
--- request
GET /
--- must_die



=== TEST 13: an unknown signature is refused
--- http_config
wagw_webhook_signature v9;
--- request
GET /
--- must_die



=== TEST 14: a rate that is none is refused
--- config
    location / {
        wagw on;
        wagw_rate_limit many;
    }
--- request
GET /
--- must_die



=== TEST 15: a time that is none is refused
--- config
    location / {
        wagw on;
        wagw_timeout soon;
    }
--- request
GET /
--- must_die



=== TEST 16: an unknown group is refused
--- config
    location / {
        wagw nothing-like-this;
    }
--- request
GET /
--- must_die



=== TEST 17: wagw outside of a location is refused
--- http_config
wagw on;
--- request
GET /
--- must_die



=== TEST 18: any origin and a list is refused
--- config
    location / {
        wagw on;
        wagw_cors * https://app.example;
    }
--- request
GET /
--- must_die



=== TEST 19: only wagw on is required
--- http_config
#own-url
--- config
    location / {
        wagw on;
    }
--- request
GET /api/observability/ping



=== TEST 20: everything at once
--- http_config
wagw_zone gateway 8m;
wagw_store sqlite:$TEST_NGINX_SERVER_ROOT/store.db;
wagw_api_key test-master-key-of-the-tests;
wagw_encryption_key_file $TEST_NGINX_HTML_DIR/secret;
wagw_whatsapp_root 142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b;
wagw_whatsapp_version 2.3000.1023223821;
wagw_outbound_allow 10.0.0.0/8 fd00::/8;
wagw_owner_connections 1000;
wagw_process_control off;
wagw_raw_messages off;
wagw_compat off;
wagw_event_names canonical;
wagw_webhook_signature v1 hub waha;
wagw_request_log off;
wagw_timeout 20s;
wagw_auth on;
wagw_query_key off;
wagw_cors *;
wagw_rate_limit 600/1m;
--- user_files
>>> secret
00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"sealed\",\"autoConnect\":false}", "GET /api/instance/sealed", "GET /api/observability/version"]
--- error_code eval
[201, 200, 200]
--- response_body_like eval
['"id":"sealed"', '"id":"sealed"', '"waVersion":"2\.3000\.1023223821"']



=== TEST 21: compatibility with the seed answers 200 and 404
--- http_config
wagw_api_key test-master-key-of-the-tests;
wagw_compat seed;
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"seed\",\"autoConnect\":false}",
 "POST /api/message/send/text\n{\"instanceId\":\"seed\",\"to\":\"15550001\",\"message\":\"a\"}"]
--- error_code eval
[200, 404]
--- response_body_like eval
['"id":"seed"', '"error":"Instance not found or not connected"']



=== TEST 22: a state directory that cannot be made: the calls say so, and the log names it
--- http_config
#own-state
wagw_state_dir $TEST_NGINX_HTML_DIR/index.html/state;
wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
wagw_api_key test-master-key-of-the-tests;
--- timeout: 10
--- request
GET /api/instance
--- error_code: 503
--- response_headers_like
Retry-After: \d+
--- response_body_like: "code":"DB_UNAVAILABLE"
--- error_log
index.html/state



=== TEST 23: a short key is warned about
--- http_config
wagw_api_key ten-chars-;
--- more_headers
X-API-Key: ten-chars-
--- request
GET /api/instance



=== TEST 24: sizes of media are taken
--- http_config
wagw_media_limit image=1m video=2g audio=16m document=500m sticker=100k;
wagw_media_url_limit document=1m;
wagw_media_uploads 100m 2h;
wagw_media_store 1g 7d;
--- request
GET /api/observability/ping
--- error_code: 200



=== TEST 25: a kind of media that there is not
--- http_config
wagw_media_limit film=1m;
--- request
GET /
--- must_die



=== TEST 26: a size of media that is none
--- http_config
wagw_media_limit image=0;
--- request
GET /
--- must_die



=== TEST 27: more than WhatsApp takes
--- http_config
wagw_media_url_limit document=3g;
--- request
GET /
--- must_die



=== TEST 28: a kind of media named twice
--- http_config
wagw_media_limit image=1m image=2m;
--- request
GET /
--- must_die



=== TEST 29: uploads without a time
--- http_config
wagw_media_uploads 1g;
--- request
GET /
--- must_die



=== TEST 30: uploads for no time
--- http_config
wagw_media_uploads 1g 0;
--- request
GET /
--- must_die



=== TEST 31: a store of media without a size
--- http_config
wagw_media_store big 1d;
--- request
GET /
--- must_die
