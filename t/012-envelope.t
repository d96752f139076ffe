# The two envelopes and the request id.

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

=== TEST 1: success carries data and a request id
--- request
GET /api/instance
--- response_headers_like
X-Request-Id: [0-9a-f]{32}
Content-Type: application/json; charset=utf-8
--- response_body_like: ^\{"success":true,"data":\[\],"count":0,.*"requestId":"[0-9a-f]{32}"\}$



=== TEST 2: the caller's request id is kept
--- more_headers
X-API-Key: test-master-key-of-the-tests
X-Request-Id: my.request-1_A
--- request
GET /api/instance
--- response_headers
X-Request-Id: my.request-1_A
--- response_body_like: "requestId":"my\.request-1_A"



=== TEST 3: a request id that is none is replaced
--- more_headers
X-API-Key: test-master-key-of-the-tests
X-Request-Id: a"b c
--- request
GET /api/instance
--- response_headers_like
X-Request-Id: [0-9a-f]{32}



=== TEST 4: what nginx refuses is in the envelope too
--- config
    location / {
        wagw on;
        client_max_body_size 100;
    }
--- request eval
"POST /api/instance/create\n" . ("x" x 200)
--- error_code: 413
--- response_headers_like
X-Request-Id: .+
--- response_body_like: ^\{"success":false,"error":"[^"]+","code":"BODY_TOO_LARGE".*"requestId":"[0-9a-f]{32}"\}$



=== TEST 5: access rules of nginx as well
--- config
    location / {
        deny all;
        wagw on;
    }
--- request
GET /api/instance
--- error_code: 403
--- response_body_like: ^\{"success":false,"error":"[^"]+","code":"AUTH_FORBIDDEN"



=== TEST 6: a location without wagw is as nginx made it
--- config
    location / {
        deny all;
    }
    location /api/ {
        wagw on;
    }
--- request
GET /elsewhere
--- error_code: 403
--- response_body_unlike: success
