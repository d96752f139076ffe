# Contract 3.2 as far as it needs no WhatsApp.

use Test::Nginx::Socket;

our $HttpConfig = <<'_EOC_';
    wagw_state_dir $TEST_NGINX_SERVER_ROOT/state;
    wagw_api_key instances-test-key;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
_EOC_

our $Create = 'POST /api/instance/create';
our $One    = qq($Create\n{"name":"One","id":"one","phoneNumber":"+1 (555) 123-4567","autoConnect":false,"metadata":{"a":1}});

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value('http_config', $HttpConfig);
    $block->set_value('config', "    location / { wagw on; }\n");
    $block->set_value('more_headers', "X-API-Key: instances-test-key\nContent-Type: application/json");
});

no_shuffle();
plan tests => repeat_each() * 92;

run_tests();

__DATA__

=== TEST 1: created, listed, read, changed, deleted
--- request eval
[$::One, "GET /api/instance", "GET /api/instance/one", "GET /api/instance/one/status",
 "PUT /api/instance/one\n{\"name\":\"Uno\",\"settings\":{\"alwaysOnline\":true},\"metadata\":{\"b\":2}}",
 "GET /api/instance?name=One", "GET /api/instance?status=disconnected&limit=1", "DELETE /api/instance/one", "GET /api/instance/one",
 "DELETE /api/instance/one"]
--- error_code eval
[201, 200, 200, 200, 200, 200, 200, 200, 404, 404]
--- response_body_like eval
['"id":"one","name":"One","phoneNumber":"15551234567","status":"disconnected","isActive":true,"lid":null,"info":null,"qrCode":null,"pairingCode":null,"webhookUrl":null,"settings":\{.*"ignoreStatus":true.*\},"metadata":\{"a":1\},"messageCount":0,"chatCount":0,.*"message":"Instance created successfully',
 '"data":\[\{"id":"one".*\],"count":1,"total":1,"pagination":\{"limit":100,"offset":0,"hasMore":false\}',
 '"data":\{"id":"one"',
 '"data":\{"id":"one","name":"One","phoneNumber":"15551234567","status":"disconnected","isActive":true,"messageCount":0,"chatCount":0,"createdAt":"[^"]+","updatedAt":"[^"]+"\}',
 '"name":"Uno".*"alwaysOnline":true.*"metadata":\{"b":2\}',
 '"data":\[\],"count":0,"total":0',
 '"data":\[\{"id":"one"',
 '"data":\{"id":"one"\},"message":"Instance deleted successfully"',
 '"code":"INSTANCE_NOT_FOUND"',
 '"code":"INSTANCE_NOT_FOUND"']
--- no_error_log
[alert]



=== TEST 2: an id and a number belong to one instance
--- request eval
[$::One, "$::Create\n{\"name\":\"x\",\"id\":\"one\"}", "$::Create\n{\"name\":\"x\",\"phoneNumber\":\"15551234567\"}",
 "$::Create\n{\"name\":\"x\",\"id\":\"two\",\"autoConnect\":false}", "PUT /api/instance/two\n{\"phoneNumber\":\"15551234567\"}"]
--- error_code eval
[201, 409, 409, 201, 409]
--- response_body_like eval
['"id":"one"', '"code":"INSTANCE_EXISTS"', '"code":"DUPLICATE"', '"id":"two"', '"code":"DUPLICATE"']



=== TEST 3: what is wrong is named
--- request eval
["$::Create\n{}", "$::Create\n{\"name\":\"x\",\"id\":\"a b\"}", "$::Create\n{\"name\":\"x\",\"settings\":{\"ignoreGroups\":1}}",
 "$::Create\n{\"name\":\"x\",\"syncHistory\":\"much\"}", "$::Create\n{\"name\":\"x\",\"browser\":{\"os\":7}}",
 "$::Create\n{\"name\":\"x\",\"webhookUrl\":\"http://example.com/\",\"webhookEvents\":[\"nothing\"]}",
 "$::Create\n{\"name\":\"x\",\"webhookUrl\":\"http://example.com/\",\"webhookHeaders\":{\"Host\":\"x\"}}",
 "$::Create\n{\"name\":\"x\",\"proxy\":\"http://192.0.2.1:3128\"}"]
--- error_code eval
[400, 400, 400, 400, 400, 400, 400, 501]
--- response_body_like eval
['"field":"name"', '"field":"id"', '"field":"settings.ignoreGroups"', '"field":"syncHistory"', '"field":"browser"',
 '"field":"webhookEvents"', '"field":"webhookHeaders"', '"code":"NOT_SUPPORTED"']



=== TEST 4: an instance that is not linked
--- request eval
[$::One, "GET /api/instance/one/info", "POST /api/instance/one/disconnect", "GET /api/instance/one/status",
 "POST /api/message/send/text\n{\"instanceId\":\"one\",\"to\":\"15550001111\",\"message\":\"x\"}", "POST /api/instance/one/logout",
 "GET /api/status/one/new-message-id"]
--- error_code eval
[201, 409, 200, 200, 409, 200, 200]
--- response_body_like eval
['"id":"one"', '"code":"INSTANCE_NOT_CONNECTED"', '"data":\{"status":"paused"\}', '"status":"paused"',
 '"code":"INSTANCE_NOT_CONNECTED"', '"remote":false', '"messageId":"3EB0[0-9A-F]{18}"']



=== TEST 5: empty listings, and what is not there
--- request eval
[$::One, "GET /api/chats/one", "GET /api/message/all/one", "GET /api/message/chat/one/15550001111", "GET /api/chats/one/15550001111/messages",
 "GET /api/message/one/NOPE", "DELETE /api/message/one/NOPE", "GET /api/contacts/one?phoneNumber=15550001111",
 "GET /api/contacts/one/lids/count", "GET /api/contacts/one/lids/123", "GET /api/message/all/one?cursor=!!"]
--- error_code eval
[201, 200, 200, 404, 200, 404, 404, 404, 200, 404, 400]
--- response_body_like eval
['"id":"one"', '"data":\[\],"count":0,"total":0,"pagination":\{"limit":50', '"data":\[\],"count":0', '"code":"CHAT_NOT_FOUND"', '"data":\[\]',
 '"code":"MESSAGE_NOT_FOUND"', '"code":"MESSAGE_NOT_FOUND"', '"code":"CONTACT_NOT_FOUND"', '"data":\{"count":0\},"count":0', '"code":"LID_NOT_FOUND"',
 '"field":"cursor"']
