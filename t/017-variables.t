# Variables for log_format, map and friends.

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

=== TEST 1: instance, key and route
--- config
    add_header X-Instance "$wagw_instance" always;
    add_header X-Key "$wagw_key" always;
    add_header X-Route "$wagw_route" always;
    location / {
        wagw on;
    }
--- request
GET /api/chats/some-instance
--- error_code: 404
--- response_headers
X-Instance: some-instance
X-Key: master
X-Route: /api/chats/:instanceId



=== TEST 2: the instance of a JSON body
--- config
    add_header X-Instance "$wagw_instance" always;
    location / {
        wagw on;
    }
--- request
POST /api/message/send/text
{"to":"15550001","message":"a","instanceId":"in-the-body"}
--- error_code: 404
--- response_headers
X-Instance: in-the-body



=== TEST 3: the time that the owner took
--- config
    add_header X-Owner "$wagw_owner_time" always;
    location / {
        wagw on;
    }
--- request
GET /api/instance
--- response_headers_like
X-Owner: \d+\.\d{3}



=== TEST 4: the key itself is never to be had
--- config
    add_header X-All "$wagw_instance|$wagw_key|$wagw_route|$wagw_message_id|$wagw_owner_time" always;
    location / {
        wagw on;
    }
--- request
GET /api/instance
--- raw_response_headers_unlike: test-master-key



=== TEST 5: elsewhere they are empty
--- config
    location / {
        return 200 "[$wagw_instance][$wagw_key][$wagw_route][$wagw_message_id]";
    }
    location /api/ {
        wagw on;
    }
--- request
GET /plain
--- response_body chomp
[][][][]
