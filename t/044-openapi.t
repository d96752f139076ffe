# Contract 3.15: the banner, the reference page, the OpenAPI document, probes.

use Test::Nginx::Socket;

our $HttpConfig = <<'_EOC_';
    wagw_state_dir $TEST_NGINX_SERVER_ROOT/state;
    wagw_api_key openapi-test-key;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
_EOC_

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value('http_config', $HttpConfig);
    $block->set_value('config', "    location / { wagw on; }\n") if !defined $block->config;
});

plan tests => repeat_each() * 28;

run_tests();

__DATA__

=== TEST 1: the banner is JSON, or a page for browsers
--- request eval
["GET /", "GET /"]
--- more_headers eval
["Accept: application/json", "Accept: text/html,application/xhtml+xml"]
--- error_code eval
[200, 200]
--- response_headers_like eval
["Content-Type: application/json; charset=utf-8", "Content-Type: text/html; charset=utf-8"]
--- response_body_like eval
['"data":\{"name":"wagw","version":"[\d.]+","docs":"/docs","openapi":"/openapi.json"', '<h1>wagw</h1>']
--- no_error_log
[error]



=== TEST 2: the page of the REST interface
--- request
GET /docs
--- response_headers
Content-Type: text/html; charset=utf-8
--- response_body_like: openapi\.json
--- no_error_log
[error]



=== TEST 3: OpenAPI: built rows, path parameters, bodies, both of a path's methods
--- request
GET /openapi.json
--- response_headers
Content-Type: application/json; charset=utf-8
--- response_body_like eval
qr!^\{"openapi":"3\.0\.3".*"/api/instance/\{instanceId\}/qr":\{"get":.*"/api/message/send/image":\{"post":.*"multipart/form-data".*!s
--- no_error_log
[error]



=== TEST 4: rows that are not built are not in it
--- request
GET /openapi.json
--- response_body_unlike: /api/backup/restore
--- no_error_log
[error]



=== TEST 5: probes
--- request eval
["GET /api/instance", "GET /live", "GET /ready"]
--- more_headers eval
["X-API-Key: openapi-test-key", "", ""]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"data":\[\]', '"status":"ok"', '"status":"ok"']
--- no_error_log
[error]
