# Runs the tests of t/*.t where upstream's Test::Nginx::Socket is not
# installed: the same dialect, the same number of tests for the same block,
# with nothing but core Perl.  Which of the two is used is the caller's choice
# (t/test.mk); a .t file cannot tell.
#
# Differences that a .t file may see: no stap, curl, valgrind, UDP or HTTP/2.

package Test::Nginx::Socket;

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use List::Util qw(shuffle);
use Test::More ();
use Time::HiRes qw(sleep time);

use Test::Nginx::Block;
use Test::Nginx::Client qw(exchange parse_response requests_of indexed);

my @EXPORTED = qw(
    plan run_tests repeat_each no_long_string no_diff log_level no_shuffle workers worker_connections master_on
    master_process_enabled master_off daemon_on timeout server_port server_port_for_client server_name server_addr
    server_root html_dir error_log_file no_root_location env_to_nginx config_preamble add_block_preprocessor
    add_cleanup_handler blocks filters bail_out trim use_hup no_nginx_manager
);
my @TEST_MORE = qw(ok is isnt like unlike is_deeply cmp_ok pass fail diag note skip done_testing BAIL_OUT);

my %opt = (
    repeat => 1, level => $ENV{TEST_NGINX_LOG_LEVEL} || 'debug', workers => 1, connections => 64, master => 'off',
    daemon => 'on', timeout => $ENV{TEST_NGINX_TIMEOUT} || 3, root_location => 1,
    shuffle => !$ENV{TEST_NGINX_NO_SHUFFLE}, hup => $ENV{TEST_NGINX_USE_HUP}, preamble => '', name => 'localhost',
    address => '127.0.0.1', manager => 1,
);
my $root    = $ENV{TEST_NGINX_SERVROOT} || getcwd() . '/t/servroot';
my $port    = $ENV{TEST_NGINX_PORT} || $ENV{TEST_NGINX_SERVER_PORT} || 1984;
my $binary  = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $verbose = $ENV{TEST_NGINX_VERBOSE};
my (@blocks, @preprocessors, @cleanups, @env, %filters, $spec, $generation);

$ENV{TEST_NGINX_HTML_DIR}    = "$root/html";
$ENV{TEST_NGINX_SERVER_PORT} = $port;
$ENV{TEST_NGINX_SERVER_ROOT} = $root;

sub import {
    my ($class, @plan) = @_;
    my $caller = caller;

    strict->import;
    warnings->import;
    no strict 'refs';
    *{"${caller}::$_"} = \&{$_} for @EXPORTED;
    *{"${caller}::$_"} = \&{"Test::More::$_"} for @TEST_MORE;
    Test::More->builder->exported_to($caller);
    Test::More::plan(@plan) if @plan;
}

# ---- what a .t file calls ---------------------------------------------------

sub plan { Test::More::plan(@_) }

sub repeat_each  { $opt{repeat}  = shift if @_; return $opt{repeat} }
sub log_level    { $opt{level}   = shift if @_ && !$ENV{TEST_NGINX_LOG_LEVEL}; return $opt{level} }
sub workers      { $opt{workers} = shift if @_; return $opt{workers} }
sub timeout      { $opt{timeout} = shift if @_; return $opt{timeout} }
sub server_name  { $opt{name}    = shift if @_; return $opt{name} }
sub server_addr  { $opt{address} = shift if @_; return $opt{address} }
sub server_port  { $port = $ENV{TEST_NGINX_SERVER_PORT} = shift if @_; return $port }
sub server_port_for_client { return server_port(@_) }
sub worker_connections     { $opt{connections} = shift if @_; return $opt{connections} }
sub config_preamble        { $opt{preamble}    = shift if @_; return $opt{preamble} }
sub server_root            { return $root }
sub html_dir               { return "$root/html" }
sub error_log_file         { return "$root/logs/error.log" }
sub no_shuffle             { $opt{shuffle}       = 0 }
sub no_root_location       { $opt{root_location} = 0 }
sub no_nginx_manager       { $opt{manager}       = 0 }
sub master_on              { $opt{master}        = 'on' }
sub master_off             { $opt{master}        = 'off' }
sub master_process_enabled { $opt{master} = shift() ? 'on' : 'off' if @_; return $opt{master} eq 'on' }
sub daemon_on              { $opt{daemon} = 'on' }
sub use_hup                { $opt{hup}    = 1 if !defined $ENV{TEST_NGINX_USE_HUP}; return $opt{hup} }
sub no_long_string         { return }    # how upstream shows a difference
sub no_diff                { return }
sub env_to_nginx           { push @env,           map { split /\s*,\s*/ } @_ }
sub add_block_preprocessor { push @preprocessors, shift }
sub add_cleanup_handler    { push @cleanups,      shift }
sub filters                { %filters = (%filters, %{ $_[0] }) }
sub trim                   { my $s = shift; $s =~ s/^\s+|\s+$//g; $s =~ s/\n/ /g; return $s }

sub bail_out {
    stop_nginx();
    Test::More::BAIL_OUT(@_);
}

# ONLY is the one block that there is, SKIP is none, after LAST comes none: so
# that `plan tests => blocks() * N` stays right.
sub blocks {
    if (!$spec) {
        $spec = do { local $/; no warnings 'once'; readline(*main::DATA) };
        for my $block (Test::Nginx::Block->parse($spec, \%filters)) {
            if ($block->has('ONLY')) {
                @blocks = ($block);
                last;
            }
            push @blocks, $block if !$block->has('SKIP');
            last if $block->has('LAST');
        }
    }
    return wantarray ? @blocks : scalar @blocks;
}

sub run_tests {
    my @todo = blocks();

    @todo = shuffle(@todo) if $opt{shuffle};
    for my $block (@todo) {
        $_->($block) for @preprocessors;
    }
    my $ended = eval { run_block($_) for @todo; 1 };
    my $error = $@;
    cleanup();
    die $error if !$ended;
}

sub cleanup {
    stop_nginx();
    $_->() for splice @cleanups;
    remove_tree($root) if $opt{manager} && !$ENV{TEST_NGINX_NO_CLEAN} && Test::More->builder->is_passing;
}

# ---- one block --------------------------------------------------------------

sub run_block {
    my $block = shift;
    my $name  = $block->name;

    # `--- skip_eval: N:CODE`: N tests less where CODE is true
    if (defined $block->get('skip_eval')) {
        my ($count, $code) = $block->get('skip_eval') =~ /\A\s*(\d+)\s*:\s*(.*)\z/s
            or bail_out("$name - skip_eval needs N:CODE");
        my $skip = eval "package main; no strict; no warnings; $code";

        bail_out("$name - skip_eval: $@") if $@;
        if ($skip) {
            Test::More->builder->skip("$name - skip_eval") for 1 .. $count * $opt{repeat};
            return;
        }
    }
    $block->expand;
    start_nginx($block) or return;
    if ($block->has('must_die')) {
        check_error_log($block, $name);
        return;
    }

    my $server = tcp_server($block);
    for my $turn (1 .. $opt{repeat}) {
        clear_error_log() if $turn > 1;
        check_requests($block);
    }
    if ($server) {
        kill TERM => $server;
        waitpid $server, 0;
    }
}

sub check_requests {
    my $block    = shift;
    my $name     = $block->name;
    my @requests = requests_of($block, $opt{name});
    my $many     = @requests > 1 || $block->get('pipelined_requests');
    my $limit    = defined $block->get('timeout') ? seconds($block->get('timeout')) : $opt{timeout};
    my $i        = 0;

    for my $request (@requests) {
        my $raw = exchange($block, $request, $opt{address}, $port, $limit);

        for my $part (1 .. $request->{count}) {
            if (!$block->has('ignore_response')) {
                (my $response, $raw) = parse_response($raw, $request->{head});
                check_code($block, $name, $response, $i, $many);
                check_headers($block, $name, $response, $i, $many);
                check_body($block, $name, $response, $i, $many);
            }
            $i++;
            # between the requests of one block; the last one's is below, after the wait
            check_error_log($block, $name) if $part < $request->{count} || $request != $requests[-1];
        }
    }
    sleep(seconds($block->get('wait'))) if defined $block->get('wait');
    check_error_log($block, $name);
}

sub check_code {
    my ($block, $name, $res, $i, $many) = @_;
    my $like = $block->get('error_code_like');
    my $want = defined $block->get('error_code') ? indexed($name, $block->get('error_code'), $i, $many) : 200;
    my $have = $res ? $res->{code} : '';

    if (defined $like) {
        $like = indexed($name, $like, $i, $many);
        Test::More::like($have, qr/$like/sm, "$name - status code ok");
    } else {
        $want = trim($want);
        Test::More::is($have, $want, "$name - status code ok");
    }
}

sub check_headers {
    my ($block, $name, $res, $i, $many) = @_;
    my %exact = header_lines(indexed($name, $block->get('response_headers'), $i, $many));
    my %like  = header_lines(indexed($name, $block->get('response_headers_like'), $i, $many));
    my $raw   = indexed($name, $block->get('raw_response_headers_like'), $i, $many);
    my $unraw = indexed($name, $block->get('raw_response_headers_unlike'), $i, $many);
    my $text  = $res ? $res->{head} : '';

    if (defined $raw) {
        Test::More::like($text, qr/$raw/s, "$name - raw resp headers like");
    }
    if (defined $unraw) {
        Test::More::unlike($text, qr/$unraw/s, "$name - raw resp headers unlike");
    }
    for my $key (sort keys %exact) {
        my $have = $res ? join(', ', @{ $res->{headers}{ lc $key } || [] }) : '';
        Test::More::is($have, $exact{$key}, "$name - header $key ok");
    }
    for my $key (sort keys %like) {
        my $have = $res ? join(', ', @{ $res->{headers}{ lc $key } || [] }) : '';
        Test::More::like($have, qr/^$like{$key}$/, "$name - header $key like ok");
    }
}

# `Name: value`; `! Name` says that there is none
sub header_lines {
    my $text = shift;
    my %h;

    for my $line (split /\n/, defined $text ? $text : '') {
        $line =~ s/^\s+|\s+$//g;
        next if $line eq '';
        my $none = $line =~ s/^!\s*//;
        my ($key, $value) = split /\s*:\s*/, $line, 2;
        $h{$key} = $none || !defined $value ? '' : $value;
    }
    return %h;
}

sub check_body {
    my ($block, $name, $res, $i, $many) = @_;
    my $body = $res ? $res->{body} : '';

    for my $kind (qw(response_body response_body_like response_body_unlike)) {
        my $want = indexed($name, $block->get($kind), $i, $many);

        next if !defined $want;
        if ($kind eq 'response_body') {
            $want =~ s/\$ServerPort\b/$port/g;
            Test::More::is($body, $want, "$name - response_body - response is expected");
        } elsif ($kind eq 'response_body_like') {
            Test::More::like($body, qr/$want/s, "$name - response_body_like - response is expected");
        } else {
            Test::More::unlike($body, qr/$want/s, "$name - response_body_unlike - response is expected");
        }
        return;
    }
}

# ---- the error log ----------------------------------------------------------

sub patterns {
    my $value = shift;

    return () if !defined $value;
    return @$value if ref $value eq 'ARRAY';
    return $value if ref $value;
    return grep { $_ ne '' } split /\n/, $value;
}

sub check_error_log {
    my ($block, $name) = @_;
    my @want   = patterns($block->get('error_log'));
    my @forbid = patterns($block->get('no_error_log'));
    my $grep   = $block->get('grep_error_log');
    my $text   = '';

    if (@want || @forbid || defined $grep) {
        my $end = time + $opt{timeout};

        # what nginx writes after the response may come a moment later
        $text = read_file(error_log_file());
        while ((grep { !matches($text, $_) } @want) && time < $end) {
            sleep 0.01;
            $text = read_file(error_log_file());
        }
    }
    if (defined $grep) {
        my $re  = ref $grep ? $grep : quotemeta(trim($grep));
        my $out = join '', map { /\n\z/ ? $_ : "$_\n" } all_matches($text, $re);
        my $expected = $block->get('grep_error_log_out');
        $expected = '' if !defined $expected;
        Test::More::is($out, $expected, "$name - grep_error_log_out");
    }
    for my $p (@want) {
        Test::More::ok(matches($text, $p), "$name - pattern \"$p\" matches a line in error.log");
    }
    for my $p (@forbid) {
        my ($line) = grep { matches($_, $p) } split /\n/, $text;
        Test::More::ok(!defined $line, "$name - pattern \"$p\" should not match any line in error.log")
            or Test::More::diag($line);
    }
}

sub all_matches {
    my ($text, $re) = @_;
    my @all;

    push @all, $& while $text =~ /$re/g;
    return @all;
}

sub matches {
    my ($text, $p) = @_;

    return ref $p ? scalar($text =~ $p) : index($text, $p) >= 0;
}

sub clear_error_log {
    truncate error_log_file(), 0;
}

# ---- nginx ------------------------------------------------------------------

sub seconds {
    my $t = trim(shift);

    return $t =~ /^([\d.]+)\s*ms$/ ? $1 / 1000 : $t =~ /^([\d.]+)\s*s?$/ ? $1 : bail_out("bad time \"$t\"");
}

sub read_file {
    my $path = shift;

    open my $f, '<', $path or return '';
    local $/;
    my $text = <$f>;
    return defined $text ? $text : '';
}

sub pid {
    return read_file("$root/logs/nginx.pid") =~ /^(\d+)/ ? $1 : undef;
}

# True once nginx has gone: it takes its pid file away, which is seen sooner
# than the end of a daemon whose pid 1 reaps at leisure.
sub wait_gone {
    my $limit = shift;
    my $end   = time + $limit;

    while (-e "$root/logs/nginx.pid") {
        return 0 if time > $end;
        sleep 0.005;
    }
    return 1;
}

sub stop_nginx {
    my $pid = $opt{manager} ? pid() : undef;

    return if !defined $pid;
    for my $signal (qw(QUIT TERM KILL)) {
        kill $signal => $pid or last;
        last if wait_gone($signal eq 'QUIT' ? 5 : 2);
    }
    unlink "$root/logs/nginx.pid";
}

sub config_text {
    my $block   = shift;
    my $section = sub { my $v = $block->get(shift); return defined $v ? $v : '' };
    my $user    = $> == 0 ? "user root;\n" : '';
    my $modules = join '', map { "load_module $_;\n" } split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';
    my $env     = join '', map { "env $_;\n" } @env;
    # a single process does not take up the sockets of a new configuration
    my $master  = $opt{hup} ? 'on' : $opt{master};
    my $level   = defined $block->get('log_level') ? trim($block->get('log_level')) : $opt{level};
    my $place   = $opt{root_location} && $section->('config') !~ /\blocation\s+\/\s*\{/
        ? "        location / {\n            root $root/html;\n            index index.html index.htm;\n        }\n" : '';

    $place .= "        location = /.generation-$generation {\n            return 204;\n        }\n" if $opt{hup};

    return <<"END";
worker_processes $opt{workers};
daemon $opt{daemon};
master_process $master;
error_log $root/logs/error.log $level;
pid $root/logs/nginx.pid;
$user$modules$env
@{[$section->('main_config')]}

http {
    access_log $root/logs/access.log;
    default_type text/plain;
    keepalive_timeout 68;

@{[$section->('http_config')]}

    server {
        listen $port;
        server_name '$opt{name}';
        client_max_body_size 30M;

$opt{preamble}
@{[$section->('config')]}
$place
    }
}

@{[$section->('post_main_config')]}

events {
    accept_mutex off;
    worker_connections $opt{connections};
}
END
}

sub write_file {
    my ($path, $text) = @_;

    make_path(dirname($path));
    open my $f, '>', $path or bail_out("cannot write $path: $!");
    binmode $f;
    print {$f} $text;
    close $f or bail_out("cannot write $path: $!");
}

sub write_user_files {
    my $files = shift->get('user_files');

    return if !defined $files;
    if (!ref $files) {
        my @parts = split /^>>> (\S+)[^\n]*\n/m, $files;
        shift @parts;
        $files = [];
        push @$files, [splice @parts, 0, 2] while @parts;
    }
    write_file("$root/html/$_->[0]", $_->[1]) for @$files;
}

sub start_nginx {
    my $block = shift;
    my $name  = $block->name;
    my $hup   = $opt{hup} && !$block->has('must_die') && defined pid();

    return 1 if !$opt{manager};
    if (!$hup) {
        stop_nginx();
        remove_tree($root);
    }
    $generation++;
    make_path("$root/$_") for qw(logs conf html);
    write_file("$root/html/index.html", "<html><head><title>It works!</title></head><body>It works!</body></html>");
    write_file("$root/html/$_->[0]", $_->[1]) for ['favicon.ico', ''];
    write_user_files($block);
    write_file("$root/conf/nginx.conf", config_text($block));

    if ($hup) {
        kill HUP => pid();
        my $end = time + 10;
        my $try = { text => "GET /.generation-$generation HTTP/1.0\r\nHost: $opt{name}\r\n\r\n", count => 1 };
        my $since;
        # old workers still accept for a moment after new ones have begun
        until (defined $since && time - $since > 0.2) {
            if (exchange(undef, $try, $opt{address}, $port, 1) !~ m{^HTTP/1\.\d 204}) {
                undef $since;
            } elsif (!defined $since) {
                $since = time;
            }
            if (time > $end) {
                Test::More::fail("$name - nginx did not take the new configuration");
                return 0;
            }
            sleep 0.01;
        }
        clear_error_log();
        return 1;
    }

    my $out    = "$root/logs/start.log";
    my $status = system("$binary -p $root/ -c $root/conf/nginx.conf >$out 2>&1");
    my $text   = read_file($out);

    if ($block->has('must_die')) {
        # refused before error_log was read: then it said so on stderr only
        open my $log, '>>', error_log_file() or bail_out("cannot write error.log: $!");
        print {$log} $text;
        close $log;
        Test::More::ok($status != 0, "$name - nginx must die");
        stop_nginx() if $status == 0;
        return 1;
    }
    print STDERR $text if $verbose || $status;
    if ($status) {
        Test::More::fail("$name - nginx does not start");
        return 0;
    }
    my $end = time + 10;
    while (!defined pid()) {
        if (time > $end) {
            Test::More::fail("$name - nginx does not start");
            return 0;
        }
        sleep 0.005;
    }
    return 1;
}

# ---- a server that nginx talks to -------------------------------------------

# tcp_listen: port or unix path; answers tcp_reply to one connection.  The
# child is the accepted connection's whole life, so it may block.
sub tcp_server {
    my $block = shift;
    my $where = $block->get('tcp_listen');

    return if !defined $where;
    $where = trim($where);
    require IO::Socket::INET;
    require IO::Socket::UNIX;
    my $listen = $where =~ /^\d+$/
        ? IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $where, Listen => 5, ReuseAddr => 1)
        : IO::Socket::UNIX->new(Local => $where, Listen => 5);

    $listen or bail_out($block->name . " - cannot listen on $where: $!");
    my $child = fork;
    defined $child or bail_out("fork: $!");
    return $child if $child;

    $SIG{TERM} = sub { require POSIX; POSIX::_exit(0) };
    my $reply = $block->get('tcp_reply');
    while (my $c = $listen->accept) {
        sysread $c, my $buffer, 65536;
        sleep(seconds($block->get('tcp_reply_delay'))) if defined $block->get('tcp_reply_delay');
        for my $part (ref $reply eq 'ARRAY' ? @$reply : ref $reply eq 'CODE' ? $reply->($buffer) : $reply) {
            syswrite $c, $part if defined $part;
        }
        close $c if !$block->has('tcp_no_close');
    }
    require POSIX;
    POSIX::_exit(0);
}

1;
