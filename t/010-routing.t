# Paths, methods and groups: what the route table answers before anything else.

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

=== TEST 1: an unknown path is 404 in the envelope, with path and method
--- request
GET /api/nowhere?x=1
--- error_code: 404
--- response_headers
Content-Type: application/json; charset=utf-8
--- response_body_like: ^\{"success":false,"error":"Endpoint not found","code":"NOT_FOUND","path":"/api/nowhere","method":"GET","requestId":"[^"]+"\}$
--- no_error_log
[error]



=== TEST 2: an unknown path is 404 without a key too
--- more_headers
Accept: */*
--- request
GET /api/nowhere
--- error_code: 404



=== TEST 3: a wrong method is 405 and says which are right
--- request
DELETE /api/message/send/text
--- error_code: 405
--- response_headers
Allow: POST, OPTIONS
--- response_body_like: "code":"METHOD_NOT_ALLOWED"



=== TEST 4: fixed words win over parameters
--- request
GET /api/message/send/text
--- error_code: 405
--- response_headers_like
Allow: .*POST.*



=== TEST 5: 405 comes before the key
--- more_headers
Accept: */*
--- request
PATCH /api/observability/version
--- error_code: 405



=== TEST 6: a call that is not built yet is 501, whatever the instance
--- request
GET /api/communities/no-such-instance
--- error_code: 501
--- response_body_like: "code":"NOT_SUPPORTED"



=== TEST 7: 501 comes after the key
--- more_headers
Accept: */*
--- request
GET /api/communities/no-such-instance
--- error_code: 401
--- response_body_like: "code":"AUTH_MISSING"



=== TEST 8: /api/v1 is the same tree
--- request eval
["GET /api/instance", "GET /api/v1/instance", "GET /api/v1/nowhere"]
--- error_code eval
[200, 200, 404]
--- response_body_like eval
['"data":\[\]', '"data":\[\]', '"code":"NOT_FOUND"']



=== TEST 9: a slash at the end is ignored
--- request eval
["GET /api/instance/", "GET /api/observability/ping/"]
--- error_code eval
[200, 200]



=== TEST 10: an unknown instance is 404 with its own code
--- request eval
["GET /api/instance/none", "GET /api/chats/none", "POST /api/instance/none/restart"]
--- error_code eval
[404, 404, 404]
--- response_body_like eval
['"code":"INSTANCE_NOT_FOUND"', '"code":"INSTANCE_NOT_FOUND"', '"code":"INSTANCE_NOT_FOUND"']



=== TEST 11: an instance id that cannot be one is not found either
--- request
GET /api/instance/no%20such%2Fid
--- error_code: 404



=== TEST 12: the location's prefix does not change the paths
--- config
    location /api/ {
        wagw on;
    }
--- request eval
["GET /api/instance", "GET /instance"]
--- error_code eval
[200, 404]



=== TEST 13: another prefix by nginx's own means
--- config
    location /wa/ {
        rewrite ^/wa(/.*)$ $1 break;
        wagw on;
    }
--- request
GET /wa/api/instance
--- error_code: 200



=== TEST 14: named groups are served, others are not there
--- config
    location / {
        wagw instance root;
    }
--- request eval
["GET /api/instance", "GET /api/chats/none", "GET /health"]
--- error_code eval
[200, 404, 200]
--- response_body_like eval
['"success":true', '"code":"NOT_FOUND"', '"status"']



=== TEST 15: wagw off serves nothing
--- config
    location / {
        wagw on;
    }
    location /api/instance {
        wagw off;
        return 404 "not here";
    }
--- request
GET /api/instance
--- error_code: 404
--- response_body chomp
not here



=== TEST 16: stop and restart are off
--- request eval
["POST /api/observability/stop", "POST /api/observability/restart"]
--- error_code_like eval
['^(403|501)$', '^(403|501)$']



=== TEST 17: HEAD is answered as GET without a body
--- request
HEAD /api/observability/ping
--- error_code: 200
