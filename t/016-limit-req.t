# limit_req with $wagw_instance: the instance is known before the limit, also from a JSON body.

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

=== TEST 1: one instance in the body is limited, another is not
--- http_config
wagw_api_key test-master-key-of-the-tests;
limit_req_zone $wagw_instance zone=perinstance:1m rate=1r/m;
--- config
    location / {
        limit_req zone=perinstance;
        limit_req_status 429;
        wagw on;
    }
--- request eval
["POST /api/message/send/text\n{\"instanceId\":\"one\",\"to\":\"15550001\",\"message\":\"a\"}",
 "POST /api/message/send/text\n{\"instanceId\":\"one\",\"to\":\"15550001\",\"message\":\"b\"}",
 "POST /api/message/send/text\n{\"instanceId\":\"two\",\"to\":\"15550001\",\"message\":\"c\"}"]
--- error_code eval
[404, 429, 404]
--- response_body_like eval
['"code":"INSTANCE_NOT_FOUND"', '"success":false,.*"code":"RATE_LIMITED"', '"code":"INSTANCE_NOT_FOUND"']



=== TEST 2: the instance of a path counts the same
--- http_config
wagw_api_key test-master-key-of-the-tests;
limit_req_zone $wagw_instance zone=perinstance:1m rate=1r/m;
--- config
    location / {
        limit_req zone=perinstance;
        limit_req_status 429;
        wagw on;
    }
--- request eval
["GET /api/chats/one", "POST /api/message/send/text\n{\"instanceId\":\"one\",\"to\":\"15550001\",\"message\":\"b\"}", "GET /api/instance", "GET /api/instance"]
--- error_code eval
[404, 429, 200, 200]



=== TEST 3: a form names its instance too
--- http_config
wagw_api_key test-master-key-of-the-tests;
limit_req_zone $wagw_instance zone=perinstance:1m rate=1r/m;
--- config
    location / {
        limit_req zone=perinstance;
        limit_req_status 429;
        wagw on;
    }
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: application/x-www-form-urlencoded
--- request eval
["POST /api/message/send/text\ninstanceId=one&to=15550001&message=a", "POST /api/message/send/text\ninstanceId=one&to=15550001&message=a"]
--- error_code eval
[404, 429]
