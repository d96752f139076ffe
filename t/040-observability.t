# Contract 3.15: who sees what without and with a key.

use Test::Nginx::Socket;

our $HttpConfig = <<'_EOC_';
    wagw_state_dir $TEST_NGINX_SERVER_ROOT/state;
    wagw_api_key observability-test-key;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
_EOC_

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value('http_config', $HttpConfig);
    $block->set_value('config', "    location / { wagw on; }\n") if !defined $block->config;
});

plan tests => repeat_each() * 41;

run_tests();

__DATA__

=== TEST 1: /health is flat; the first call waits for the owner
--- request eval
["GET /api/instance", "GET /health"]
--- more_headers
X-API-Key: observability-test-key
--- error_code eval
[200, 200]
--- response_body_like eval
['"data":\[\]',
 '^\{"success":true,"data":\{\},"status":"ok","timestamp":"\d{4}-\d\d-\d\dT[\d:.]+Z","uptime":[\d.]+,"environment":"production"']
--- no_error_log
[error]
[alert]



=== TEST 2: ping answers in the worker
--- request
GET /api/observability/ping
--- response_body_like: "message":"pong"
--- no_error_log
[error]



=== TEST 3: health says no more than the status without a key
--- request eval
["GET /api/instance", "GET /api/observability/health", "GET /health"]
--- more_headers eval
["X-API-Key: observability-test-key", "", ""]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"data":\[\]', '^\{"success":true,"data":\{"status":"healthy"\},', '"status":"ok"']
--- no_error_log
[error]



=== TEST 4: health with a key: uptime, memory, database, instances
--- request eval
["GET /api/instance", "GET /api/observability/health"]
--- more_headers
X-API-Key: observability-test-key
--- error_code eval
[200, 200]
--- response_body_like eval
['"data":\[\]',
 '"status":"healthy","uptime":\{"seconds":\d+,"formatted":"0d 0h \d+m \d+s"\},"memory":\{"rss":"[\d.]+ MB","heapTotal":"[\d.]+ MB","heapUsed":"[\d.]+ MB","external":"[\d.]+ MB"\},"database":\{"status":"connected"\},"instances":\{"total":0,"active":0\}']
--- no_error_log
[error]



=== TEST 5: the other calls need a key
--- request eval
["GET /api/observability/version", "GET /api/observability/environment", "GET /api/observability/status"]
--- error_code eval
[401, 401, 401]
--- response_body_like eval
['"code":"AUTH_MISSING"', '"code":"AUTH_MISSING"', '"code":"AUTH_MISSING"']



=== TEST 6: version, environment and status with a key
--- request eval
["GET /api/observability/version", "GET /api/observability/environment", "GET /api/observability/status"]
--- more_headers
X-API-Key: observability-test-key
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"name":"wagw","version":"\d+\.\d+\.\d+".*"nginx":"\d.*"waVersion":"2\.3000\.\d+"',
 '"environment":"production","port":' . server_port() . ',.*"hostname":".*"cpus":\d+',
 '"server":\{"status":"running".*"loadAverage":\[[^]]+\].*"instances":\{"total":0,"connected":0,"list":\[\]\}']
--- no_error_log
[error]
