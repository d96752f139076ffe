# Cross-origin calls from browsers.

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

=== TEST 1: any origin by default
--- request
GET /api/observability/ping
--- response_headers
Access-Control-Allow-Origin: *
! Access-Control-Allow-Credentials



=== TEST 2: a preflight needs no key and has no body
--- more_headers
Origin: https://app.example
Access-Control-Request-Method: POST
Access-Control-Request-Headers: content-type,x-api-key
--- request
OPTIONS /api/message/send/text
--- error_code: 204
--- response_headers_like
Access-Control-Allow-Origin: \*
Access-Control-Allow-Methods: .*POST.*
Access-Control-Allow-Headers: (?i).*x-api-key.*



=== TEST 3: a listed origin may send credentials
--- config
    location / {
        wagw on;
        wagw_cors https://app.example https://other.example;
    }
--- more_headers
Origin: https://other.example
--- request
GET /api/observability/ping
--- response_headers
Access-Control-Allow-Origin: https://other.example
Access-Control-Allow-Credentials: true
--- raw_response_headers_like: Vary: .*Origin



=== TEST 4: an origin that is not listed gets nothing
--- config
    location / {
        wagw on;
        wagw_cors https://app.example;
    }
--- more_headers
Origin: https://evil.example
--- request
GET /api/observability/ping
--- response_headers
! Access-Control-Allow-Origin



=== TEST 5: off
--- config
    location / {
        wagw on;
        wagw_cors off;
    }
--- more_headers
Origin: https://app.example
--- request
GET /api/observability/ping
--- response_headers
! Access-Control-Allow-Origin



=== TEST 6: errors can be read by browsers too
--- more_headers
Origin: https://app.example
--- request
GET /api/instance
--- error_code: 401
--- response_headers
Access-Control-Allow-Origin: *
