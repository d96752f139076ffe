# The blocks of a .t file: `=== name`, then sections `--- name filters: value`
# or `--- name filters` with the value on the lines below.

package Test::Nginx::Block;

use strict;
use warnings;

# sections that nginx reads: $TEST_NGINX_NAME is replaced in them
my @EXPANDED = qw(main_config http_config config post_main_config);

our $AUTOLOAD;

sub parse {
    my ($class, $spec, $defaults) = @_;
    my @blocks;

    $spec =~ s/\r\n/\n/g;
    for my $part (split /^(?====(?:[ \t]|$))/m, $spec) {
        next if $part !~ s/^===[ \t]*([^\n]*)\n//;
        my $self = bless { name => $1, value => {} }, $class;

        for my $section (split /^(?=---[ \t])/m, $part) {
            next if $section !~ s/^---[ \t]+(\w+)[ \t]*([\w, \t]*?)[ \t]*(?::[ \t]*([^\n]*))?(?:\n|\z)//;
            my ($name, $filters, $value) = ($1, $2, $3);

            $value = $section if !defined $value;
            $value =~ s/^\\(?====|---)//mg;
            $value =~ s/\A(?:[ \t]*\n)+//;
            $value =~ s/(?<=\n)\s*\z//;
            for my $filter (@{ listed($defaults->{$name}) }, split /[, \t]+/, $filters) {
                $value = filter($self, $name, $filter, $value);
            }
            $self->{value}{$name} = $value;
        }
        push @blocks, $self;
    }
    return @blocks;
}

sub listed {
    my $f = shift;

    return !defined $f ? [] : ref $f ? $f : [split ' ', $f];
}

sub filter {
    my ($self, $section, $filter, $value) = @_;

    if ($filter eq 'chomp' || $filter eq 'chop') {
        chomp $value;
    } elsif ($filter eq 'eval') {
        my $code = $value;
        $value = eval "package main; no strict; no warnings; $code";
        die "$self->{name} - $section: $@" if $@;
    } elsif ($filter eq 'eval_file' || $filter eq 'read_file') {
        my $path = $value;
        $path =~ s/^\s+|\s+$//g;
        open my $f, '<', $path or die "$self->{name} - $section: cannot read $path: $!\n";
        local $/;
        $value = <$f>;
        if ($filter eq 'eval_file') {
            $value = eval "package main; no strict; no warnings; $value";
            die "$self->{name} - $section: $@" if $@;
        }
    } elsif ($filter eq 'lines') {
        $value = [map { "$_\n" } split /\n/, $value];
    } elsif ($filter eq 'trim') {
        $value =~ s/^\s+|\s+$//g;
    } elsif ($filter ne '') {
        die "$self->{name} - $section: no filter \"$filter\"\n";
    }
    return $value;
}

sub name { return shift->{name} }
sub has  { my ($self, $section) = @_; return exists $self->{value}{$section} }
sub get  { my ($self, $section) = @_; return $self->{value}{$section} }

sub set_value {
    my ($self, $section, @value) = @_;

    $self->{value}{$section} = $value[0];
}

# environment variables in what nginx reads
sub expand {
    my $self = shift;

    for my $section (@EXPANDED) {
        next if !defined $self->{value}{$section} || $self->{expanded}{$section}++;
        $self->{value}{$section} =~ s/\$\{?(TEST_NGINX_\w+)\}?/defined $ENV{$1} ? $ENV{$1} : die "\$$1 is not set\n"/eg;
    }
}

# $block->request, as preprocessors write it
sub AUTOLOAD {
    my $self = shift;
    my ($section) = $AUTOLOAD =~ /(\w+)$/;

    return if $section eq 'DESTROY';
    return $self->get($section);
}

1;
