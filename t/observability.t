# Ping, health, version, environment and status.

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

=== TEST 1: ping
--- more_headers
Accept: */*
--- request
GET /api/observability/ping
--- response_body_like: ^\{"success":true,.*"message":"pong","timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"



=== TEST 2: health follows the owner: once it is 200, calls do not fail
--- request eval
["GET /api/instance", "GET /health", "GET /api/instance"]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"success":true', '"status":"(healthy|ok)".*"timestamp":"\d{4}-.*"uptime":', '"success":true']



=== TEST 3: health in detail needs a key
--- request eval
["GET /api/instance", "GET /api/observability/health"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"success":true', '"status":"healthy",.*"database":\{"status":"[a-z]+"\}.*"instances":\{"total":0,"active":0\}']



=== TEST 4: without one it is a word
--- more_headers
Accept: */*
--- request
GET /api/observability/health
--- error_code_like: ^(200|503)$
--- response_body_like: "(data|details)":\{"status":"[a-z]+"\}



=== TEST 5: version
--- request
GET /api/observability/version
--- response_body_like: "name":"[^"]+","version":"\d+\.\d+\.\d+".*"nginx":"1\.\d+\.\d+".*"waVersion":"2\.\d+\.\d+"



=== TEST 6: environment has no secrets
--- request
GET /api/observability/environment
--- response_body_like: ^(?!.*test-master-key).*"hostname":"[^"]+".*"uptime":\{"system":\d



=== TEST 7: status
--- request
GET /api/observability/status
--- response_body_like: "server":\{.*"memory":\{.*"instances":\{"total":0,"connected":0,"list":\[\]\}



=== TEST 8: stop and restart are off
--- request eval
["POST /api/observability/stop", "POST /api/observability/restart"]
--- error_code_like eval
['^(403|501)$', '^(403|501)$']
