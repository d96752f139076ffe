# Contract 3.1 and 1.2: making keys, and what a bound key does not see.

use Test::Nginx::Socket;

our $Master = 'wagw_api_key keys-test-master-key;';

add_block_preprocessor(sub {
    my $block = shift;
    my $key   = defined $block->nokey ? '' : $Master;

    $block->set_value('http_config', <<"_EOC_");
    wagw_state_dir \$TEST_NGINX_SERVER_ROOT/state;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
    $key
_EOC_
    $block->set_value('config', "    location / { wagw on; }\n");
});

plan tests => repeat_each() * 21;

run_tests();

__DATA__

=== TEST 1: a key is shown once, with what it may do
--- request
POST /api/auth/generate-key
{"name":"ci","permissions":["read","send"],"instanceIds":["one"],"expiresAt":"2199-01-02T03:04:05Z","ipAllow":["192.0.2.0/24","::1"]}
--- more_headers
X-API-Key: keys-test-master-key
Content-Type: application/json
--- error_code: 201
--- response_body_like: ^\{"success":true,"data":\{"id":"[0-9a-f-]{36}","name":"ci","apiKey":"wagw_[\w-]{32}","permissions":\["read","send"\],"instanceIds":\["one"\],"expiresAt":"2199-01-02T03:04:05\.000Z","createdAt":"[^"]+Z"\},"message":"API key generated successfully
--- no_error_log
[error]



=== TEST 2: read and write by default
--- request
POST /api/auth/generate-key
{"name":"plain"}
--- more_headers
X-API-Key: keys-test-master-key
Content-Type: application/json
--- error_code: 201
--- response_body_like: "permissions":\["read","write"\]



=== TEST 3: what is wrong is named
--- request eval
["POST /api/auth/generate-key\n{}",
 "POST /api/auth/generate-key\n{\"name\":\"x\",\"permissions\":[\"root\"]}",
 "POST /api/auth/generate-key\n{\"name\":\"x\",\"expiresAt\":\"2001-01-01T00:00:00Z\"}",
 "POST /api/auth/generate-key\n{\"name\":\"x\",\"ipAllow\":[\"nowhere\"]}"]
--- more_headers
X-API-Key: keys-test-master-key
Content-Type: application/json
--- error_code eval
[400, 400, 400, 400]
--- response_body_like eval
['"field":"name"', '"field":"permissions"', '"field":"expiresAt"', '"field":"ipAllow"']



=== TEST 4: with a master key nobody makes one without it
--- request
POST /api/auth/generate-key
{"name":"x"}
--- more_headers
Content-Type: application/json
--- error_code: 401
--- response_body_like: "code":"AUTH_MISSING"



=== TEST 5: the first key needs none, is admin, and is the only one of its kind
--- nokey
--- request eval
["POST /api/auth/generate-key\n{\"name\":\"first\",\"permissions\":[\"read\"]}",
 "POST /api/auth/generate-key\n{\"name\":\"second\"}"]
--- more_headers
Content-Type: application/json
--- error_code eval
[201, 401]
--- response_body_like eval
['"permissions":\["read","admin"\]', '"code":"AUTH_MISSING"']



=== TEST 6: not through a proxy
--- nokey
--- request
POST /api/auth/generate-key
{"name":"first"}
--- more_headers
Content-Type: application/json
X-Forwarded-For: 192.0.2.1
--- error_code: 401
--- response_body_like: "code":"AUTH_MISSING"
