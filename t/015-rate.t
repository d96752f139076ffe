# wagw_rate_limit: headers on every answer, 429 above it, never for the master key.

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

=== TEST 1: the default is 600 a minute
--- request
GET /api/instance
--- response_headers
RateLimit-Limit: 600
RateLimit-Policy: 600;w=60
RateLimit-Remaining: 600



=== TEST 2: the master key is never limited
--- config
    location / {
        wagw on;
        wagw_rate_limit 1/1m;
    }
--- request eval
["GET /api/instance", "GET /api/instance", "GET /api/instance"]
--- error_code eval
[200, 200, 200]
--- response_headers eval
["RateLimit-Remaining: 1", "RateLimit-Remaining: 1", "RateLimit-Remaining: 1"]



=== TEST 3: another window
--- config
    location / {
        wagw on;
        wagw_rate_limit 100/15m;
    }
--- request
GET /api/instance
--- response_headers
RateLimit-Limit: 100
RateLimit-Policy: 100;w=900



=== TEST 4: off has no headers
--- config
    location / {
        wagw on;
        wagw_rate_limit off;
    }
--- request
GET /api/instance
--- response_headers
! RateLimit-Limit
! RateLimit-Policy



=== TEST 5: an inner level overrides an outer one
--- config
    wagw_rate_limit 5/1s;
    location / {
        wagw on;
    }
    location /api/chats/ {
        wagw on;
        wagw_rate_limit 9/1h;
    }
--- request eval
["GET /api/instance", "GET /api/chats/none"]
--- error_code eval
[200, 404]
--- response_headers eval
["RateLimit-Policy: 5;w=1", "RateLimit-Policy: 9;w=3600"]
