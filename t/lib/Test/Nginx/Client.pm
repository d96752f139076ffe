# The client end of a test: what a block's sections say is sent, and the bytes
# that come back are cut into responses.

package Test::Nginx::Client;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(exchange parse_response requests_of indexed);

# The value for one of several requests: those need one each.
sub indexed {
    my ($name, $value, $i, $many) = @_;

    return $value if !defined $value;
    if (ref $value eq 'ARRAY') {
        die "$name - more than one expected result for one request\n" if !$many && $i;
        return $value->[$i];
    }
    die "$name - You asked for many requests, the expected results should be arrays as well.\n" if $many;
    return $value;
}

# ({text => string or packets, count => responses, head => no body follows}, ...)
sub requests_of {
    my ($block, $host) = @_;
    my $name = $block->name;
    my $more = $block->get('more_headers');
    my @requests;

    if (defined(my $raw = $block->get('raw_request'))) {
        return { text => $raw, count => 1, head => scalar((ref $raw ? $raw->[0] : $raw) =~ /^\s*HEAD\s/) };
    }
    if (my $list = $block->get('pipelined_requests')) {
        my ($text, $i) = ('', 0);

        for my $r (@$list) {
            $text .= request_text($name, $r, header_text($more, $i), $host, $i < $#$list ? 'keep-alive' : 'close');
            $i++;
        }
        return { text => $text, count => scalar @$list };
    }
    my $given = $block->get('request');
    die "$name - request empty\n" if !defined $given;
    my $i = 0;
    for my $r (ref $given eq 'ARRAY' ? @$given : $given) {
        my $text = request_text($name, $r, header_text($more, $i), $host, 'close');
        push @requests, { text => $text, count => 1, head => scalar($text =~ /^HEAD\s/) };
        $i++;
    }
    return @requests;
}

sub header_text {
    my ($more, $i) = @_;
    my $text = ref $more eq 'ARRAY' ? $more->[$i] : $more;

    return join '', map { "$_\r\n" } grep { /\S/ && !/^\s*#/ } split /\r?\n/, defined $text ? $text : '';
}

sub request_text {
    my ($name, $request, $headers, $host, $connection) = @_;
    my ($line, $body) = split /\n/, $request, 2;
    my ($method, $url, $version) = split ' ', $line;

    die "$name - Request line is not valid: \"$line\"\n" if !defined $method;
    $url     = '/'        if !defined $url;
    $version = 'HTTP/1.1' if !defined $version;
    $body    = ''         if !defined $body;
    chomp $body;

    my $text = "$method $url $version\r\n";
    $text .= "Host: $host\r\n"             if $headers !~ /^Host\s*:/mi;
    $text .= "Connection: $connection\r\n" if $headers !~ /^Connection\s*:/mi;
    if ($headers =~ /^Transfer-Encoding\s*:\s*chunked/mi) {
        $body = length $body ? sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body) : "0\r\n\r\n";
    } elsif (length $body && $headers !~ /^Content-Length\s*:/mi) {
        $text .= 'Content-Length: ' . length($body) . "\r\n";
    }
    return "$text$headers\r\n$body";
}

# Sends, and returns what came until nginx closed, all responses were there, or
# the time was over.
sub exchange {
    my ($block, $request, $address, $port, $limit) = @_;
    my $end = time + $limit;
    my $delay = $block ? $block->get('raw_request_middle_delay') : undef;
    my @packets = ref $request->{text} ? @{ $request->{text} } : ($request->{text});
    my ($socket, $in) = (undef, '');

    # a server that has just started may not listen yet
    while (!($socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Proto => 'tcp'))) {
        return '' if time > $end || !$block;
        sleep 0.01;
    }
    local $SIG{PIPE} = 'IGNORE';
    binmode $socket;
    $socket->blocking(0);

    my $select = IO::Select->new($socket);
    my $out    = shift @packets;
    my $next   = 0;
    while (time < $end) {
        if (!length $out && @packets) {
            $out  = shift @packets;
            $next = time + (defined $delay ? $delay : 0);
        }
        my $ready = $next <= time;
        my ($can_read, $can_write) =
            IO::Select->select($select, length $out && $ready ? $select : undef, undef, $ready ? $end - time : $next - time);

        if ($can_write && @$can_write) {
            my $n = syswrite $socket, $out;
            if (defined $n) {
                substr $out, 0, $n, '';
            } elsif (!$!{EAGAIN}) {
                $out = '';
                @packets = ();
            }
        }
        if ($can_read && @$can_read) {
            my $n = sysread $socket, $in, 65536, length $in;
            last if defined $n ? $n == 0 : !$!{EAGAIN};
            last if complete($in, $request);
        }
    }
    warn 'client socket timed out - ' . $block->name . "\n"
        if time >= $end && $block && !$block->has('abort') && !$block->has('ignore_response');
    close $socket;
    return $in;
}

# All responses are there, and each says itself where it ends.
sub complete {
    my ($in, $request) = @_;

    for (1 .. $request->{count}) {
        my ($res, $rest) = parse_response($in, $request->{head});

        return 0 if !$res || $res->{open} || $res->{missing};
        $in = $rest;
    }
    return 1;
}

# {code, head, headers => {lower => [values]}, body, open: ends with the
# connection, missing: not all there}, and what follows it
sub parse_response {
    my ($raw, $no_body) = @_;

    $raw = '' if !defined $raw;
    $raw =~ s/\AHTTP\/1\.1 100 [^\r\n]*\r\n\r\n//;
    return (undef, '') if $raw !~ /\A(HTTP\/\d\.\d (\d\d\d)[^\r\n]*\r\n(.*?\r\n)?)\r\n(.*)\z/s;
    my ($head, $code, $fields, $body) = ($1, $2, $3, $4);
    my %res = (code => $code, head => $head, headers => {}, body => '');

    for my $line (split /\r\n/, defined $fields ? $fields : '') {
        my ($key, $value) = split /:\s*/, $line, 2;
        push @{ $res{headers}{ lc $key } }, defined $value ? $value : '';
    }
    return (\%res, $body) if $no_body || $code == 204 || $code == 304;

    my ($length) = @{ $res{headers}{'content-length'} || [] };
    if (grep { /chunked/i } @{ $res{headers}{'transfer-encoding'} || [] }) {
        while ($body =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r\n//) {
            my $n = hex $1;
            if (length $body < $n + 2) {
                $res{missing} = 1;
                $res{body} .= $body;
                return (\%res, '');
            }
            $res{body} .= substr $body, 0, $n, '';
            substr $body, 0, 2, '';
            return (\%res, $body) if $n == 0;
        }
        $res{missing} = 1;
        return (\%res, '');
    }
    if (defined $length) {
        $res{missing} = length $body < $length;
        $res{body} = substr $body, 0, $length;
        return (\%res, $res{missing} ? '' : substr $body, $length);
    }
    $res{open} = 1;
    $res{body} = $body;
    return (\%res, '');
}

1;
