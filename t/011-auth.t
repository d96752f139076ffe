# Keys: where they may be written, what they allow, what is said when they do not.

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

=== TEST 1: without a key
--- more_headers
Accept: */*
--- request
GET /api/instance
--- error_code: 401
--- response_headers
WWW-Authenticate: ApiKey
--- response_body_like: ^\{"success":false,"error":"API key is required","code":"AUTH_MISSING",



=== TEST 2: with a wrong key
--- more_headers
X-API-Key: test-master-key-of-the-test
--- request
GET /api/instance
--- error_code: 401
--- response_body_like: ^\{"success":false,"error":"Invalid API key","code":"AUTH_INVALID",



=== TEST 3: X-API-Key, in any case
--- more_headers
x-api-key: test-master-key-of-the-tests
--- request
GET /api/instance
--- error_code: 200



=== TEST 4: a bearer token
--- more_headers
Authorization: Bearer test-master-key-of-the-tests
--- request
GET /api/instance
--- error_code: 200



=== TEST 5: apikey, as clients of Evolution API write it
--- more_headers
apikey: test-master-key-of-the-tests
--- request
GET /api/instance
--- error_code: 200



=== TEST 6: the query is no place for a key unless it is allowed
--- more_headers
Accept: */*
--- request
GET /api/instance/one/qr?apiKey=test-master-key-of-the-tests
--- error_code: 401



=== TEST 7: the query may carry it on the calls that browsers make by themselves
--- config
    location / {
        wagw on;
        wagw_query_key on;
    }
--- more_headers
Accept: */*
--- request eval
["GET /api/instance/none/qr?apiKey=test-master-key-of-the-tests", "GET /api/instance?apiKey=test-master-key-of-the-tests"]
--- error_code eval
[404, 401]



=== TEST 8: public calls need no key
--- more_headers
Accept: */*
--- request eval
["GET /api/observability/ping", "GET /api/observability/health", "GET /health"]
--- error_code_like eval
['^200$', '^(200|503)$', '^(200|503)$']



=== TEST 9: wagw_auth off leaves it to nginx
--- config
    location / {
        wagw on;
        wagw_auth off;
    }
--- more_headers
Accept: */*
--- request
GET /api/instance
--- error_code: 200



=== TEST 10: auth_request refuses in the envelope
--- config
    location = /ask {
        internal;
        return 403;
    }
    location / {
        auth_request /ask;
        wagw on;
        wagw_auth off;
    }
--- request
GET /api/instance
--- error_code: 403
--- response_body_like: "success":false,.*"code":"AUTH_FORBIDDEN"



=== TEST 11: the key is read from a file
--- http_config
wagw_api_key file:$TEST_NGINX_HTML_DIR/key;
--- user_files
>>> key
a-key-that-lives-in-a-file
--- more_headers
X-API-Key: a-key-that-lives-in-a-file
--- request
GET /api/instance
--- error_code: 200



=== TEST 12: a made key is shown once, and holds what was asked for
--- request
POST /api/auth/generate-key
{"name":"reader","permissions":["read"]}
--- error_code: 201
--- response_body_like: ^\{"success":true,"data":\{"id":"[^"]+","name":"reader","apiKey":"[^"]{32,}","permissions":\["read"\]



=== TEST 13: a key needs a name
--- request
POST /api/auth/generate-key
{"permissions":["read"]}
--- error_code: 400
--- response_body_like: "code":"VALIDATION_FAILED","details":\{"fields":\[\{"field":"name","reason":"required"\}\]\}



=== TEST 14: an unknown permission is named
--- request
POST /api/auth/generate-key
{"name":"x","permissions":["read","fly"]}
--- error_code: 400
--- response_body_like: "code":"VALIDATION_FAILED".*"field":"permissions



=== TEST 15: the first key is free from loopback, where there is no key at all
--- http_config
--- more_headers
Content-Type: application/json
--- request eval
["POST /api/auth/generate-key\n{\"name\":\"first\"}", "POST /api/auth/generate-key\n{\"name\":\"second\"}"]
--- error_code eval
[201, 401]
--- response_body_like eval
['"permissions":\[[^\]]*"admin"', '"code":"AUTH_MISSING"']



=== TEST 16: a forwarded call cannot make the first key
--- http_config
--- more_headers
Content-Type: application/json
X-Forwarded-For: 192.0.2.1
--- request
POST /api/auth/generate-key
{"name":"first"}
--- error_code: 401
