# Instances: create, read, change, delete; none of these connects.

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

=== TEST 1: create, read, list, change, delete
--- request eval
["POST /api/instance/create\n{\"name\":\"First\",\"id\":\"crud\",\"autoConnect\":false,\"metadata\":{\"k\":1}}",
 "GET /api/instance/crud",
 "GET /api/instance/crud/status",
 "GET /api/instance",
 "PUT /api/instance/crud\n{\"name\":\"Second\"}",
 "GET /api/instance?name=Second",
 "DELETE /api/instance/crud",
 "GET /api/instance/crud"]
--- error_code eval
[201, 200, 200, 200, 200, 200, 200, 404]
--- response_body_like eval
['"id":"crud","name":"First".*"status":"disconnected".*"metadata":\{"k":1\}.*"message":"Instance created successfully',
 '"id":"crud","name":"First"',
 '"data":\{"id":"crud","name":"First",.*"status":"disconnected".*"messageCount":0,"chatCount":0',
 '"data":\[\{"id":"crud".*"count":1',
 '"name":"Second".*"message":"Instance updated successfully"',
 '"id":"crud","name":"Second"',
 '"data":\{"id":"crud"',
 '"code":"INSTANCE_NOT_FOUND"']



=== TEST 2: an id is made when none is given
--- request
POST /api/instance/create
{"name":"x","autoConnect":false}
--- error_code: 201
--- response_body_like: "data":\{"id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"



=== TEST 3: the same id again is 409
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"same\",\"autoConnect\":false}",
 "POST /api/instance/create\n{\"name\":\"y\",\"id\":\"same\",\"autoConnect\":false}"]
--- error_code eval
[201, 409]
--- response_body_like eval
['"id":"same"', '"code":"INSTANCE_EXISTS"']



=== TEST 4: the same phone number again is 409
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"phone-1\",\"autoConnect\":false,\"phoneNumber\":\"+1 555 000 0001\"}",
 "POST /api/instance/create\n{\"name\":\"y\",\"id\":\"phone-2\",\"autoConnect\":false,\"phoneNumber\":\"15550000001\"}"]
--- error_code eval
[201, 409]
--- response_body_like eval
['"phoneNumber":"15550000001"', '"code":"DUPLICATE"']



=== TEST 5: what needs a connection is 409 without one
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"idle\",\"autoConnect\":false}",
 "POST /api/message/send/text\n{\"instanceId\":\"idle\",\"to\":\"15550001\",\"message\":\"a\"}",
 "GET /api/instance/idle/info"]
--- error_code eval
[201, 409, 409]
--- response_body_like eval
['"id":"idle"',
 '"error":"Instance not found or not connected","code":"INSTANCE_NOT_CONNECTED"',
 '"code":"INSTANCE_NOT_CONNECTED"']



=== TEST 6: fields are checked before the state
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"idle2\",\"autoConnect\":false}",
 "POST /api/message/send/text\n{\"instanceId\":\"idle2\",\"message\":\"a\"}",
 "POST /api/message/send/text\n{\"instanceId\":\"idle2\",\"to\":\"no number\",\"message\":\"a\"}"]
--- error_code eval
[201, 400, 400]
--- response_body_like eval
['"id":"idle2"', '"field":"to","reason":"required"', '"code":"INVALID_JID".*"field":"to"']



=== TEST 7: webhooks of an instance
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"hooked\",\"autoConnect\":false,\"webhookUrl\":\"https://hooks.example/a\"}",
 "GET /api/instance/hooked/webhook",
 "PUT /api/instance/hooked/webhook\n{\"url\":\"https://hooks.example/b\",\"events\":[\"message.received\"],\"secret\":\"s3cret-of-the-hook\"}",
 "GET /api/instance/hooked/webhook"]
--- error_code eval
[201, 200, 200, 200]
--- response_body_like eval
['"webhookUrl":"https://hooks.example/a"',
 '"url":"https://hooks.example/a".*"hasSecret":false',
 '^(?!.*s3cret).*"url":"https://hooks.example/b".*"events":\["message.received"\].*"hasSecret":true',
 '^(?!.*s3cret).*hooks.example/a.*hooks.example/b']



=== TEST 8: pages of a list
--- request eval
["POST /api/instance/create\n{\"name\":\"a\",\"id\":\"p1\",\"autoConnect\":false}",
 "POST /api/instance/create\n{\"name\":\"b\",\"id\":\"p2\",\"autoConnect\":false}",
 "GET /api/instance?limit=1",
 "GET /api/instance?limit=1&offset=1",
 "GET /api/instance?limit=501"]
--- error_code eval
[201, 201, 200, 200, 400]
--- response_body_like eval
['p1', 'p2', '"count":1,"total":2,"pagination":\{"limit":1,"offset":0,"hasMore":true', '"count":1.*"hasMore":false', '"field":"limit"']
