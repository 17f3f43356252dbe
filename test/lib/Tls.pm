
=pod

=head1 NAME

Tls - an nginx in front of nothing or of a Receiver, with TLS and HTTP/2, and a CA made for it

=head1 SYNOPSIS

  use Tls;

  my $sink = Tls->new(dir => $directory);                          # answers 200 to everything
  my $proxy = Tls->new(dir => $directory, receiver => $receiver);  # hands everything to a Receiver
  my $bad = Tls->new(dir => $directory, certificate => 'expired'); # or wrong_host, self_signed

  my $url = $sink->url('/hook');      # https://127.0.0.1:PORT/hook
  my $ca = $sink->ca_file;            # the CA that signed its certificate
  my %seen = $sink->count_ids;        # webhook-ids that were answered
  my %protocols = $sink->protocols;   # ('HTTP/2.0' => 120)

=cut

package Tls;

use strict;
use warnings;

use Carp;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep);

my $instances = 0;

# Whether nginx and openssl are there.
sub available
{
	return defined program('nginx') && defined program('openssl');
}

sub program
{
	my ($name) = @_;
	my ($found) = grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
	return $found;
}

# Runs openssl in the directory; its words are shown only when it fails.
sub openssl
{
	my ($dir, @arguments) = @_;
	my $program = program('openssl') or croak 'openssl is not installed';
	my $pid = open my $output, '-|' // croak "fork: $!";

	if ($pid == 0)
	{
		open STDERR, '>&', \*STDOUT;
		chdir $dir;
		exec $program, @arguments or POSIX::_exit(127);
	}
	my $text = join '', <$output>;
	close $output or croak "openssl @arguments: $text";
	return;
}

sub write_file
{
	my ($path, $text) = @_;
	open my $file, '>', $path or croak "$path: $!";
	print $file $text;
	close $file;
	return;
}

# Makes a CA and a certificate of the wanted kind in the directory.
sub make_certificate
{
	my ($dir, $kind) = @_;
	my $names = $kind eq 'wrong_host' ? 'DNS:elsewhere.test' : 'DNS:localhost,DNS:hook.test,IP:127.0.0.1';
	my @key = qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes);
	my @days = $kind eq 'expired' ? (-days => -1) : (-days => 30);

	openssl($dir, qw(req -x509), @key, qw(-keyout ca.key -out ca.pem -days 30 -subj),
		'/CN=trigger_engine test CA');
	if ($kind eq 'self_signed')
	{
		openssl($dir, qw(req -x509), @key, qw(-keyout server.key -out server.pem -days 30 -subj),
			'/CN=localhost', '-addext', "subjectAltName=$names");
		return;
	}
	write_file("$dir/server.ext", "subjectAltName=$names\nbasicConstraints=CA:FALSE\n");
	openssl($dir, 'req', @key, qw(-keyout server.key -out server.csr -subj), '/CN=localhost');
	openssl($dir, qw(x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial),
		@days, qw(-extfile server.ext -out server.pem));
	return;
}

# Options: dir (required), receiver, certificate (good, expired, wrong_host,
# self_signed), http2 (1), port (any free one).
sub new
{
	my ($class, %option) = @_;
	my $nginx = program('nginx') or croak 'nginx is not installed';
	my $dir = "$option{dir}/tls" . ++$instances . ".$$";
	mkdir $dir or croak "$dir: $!";
	mkdir "$dir/temp";

	my $port = $option{port};
	if (not $port)
	{
		my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, Proto => 'tcp')
		  or croak "no free port: $@";
		$port = $probe->sockport;
		close $probe;
	}
	make_certificate($dir, $option{certificate} // 'good');
	write_file("$dir/nginx.conf", config($dir, $port, $option{http2} // 1, $option{receiver}));

	my $self = bless { dir => $dir, port => $port, owner => $$ }, $class;
	my $pid = fork // croak "fork: $!";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$dir/nginx.out";
		open STDERR, '>&', \*STDOUT;
		exec 'setpriv', '--pdeathsig', 'KILL', $nginx, '-e', "$dir/error.log", '-p', $dir, '-c', "$dir/nginx.conf"
		  or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	for (1 .. 200)
	{
		return $self if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1);
		sleep 0.05;
	}
	croak "nginx did not start: see $dir/error.log";
}

sub config
{
	my ($dir, $port, $http2, $receiver) = @_;
	my $listen = "127.0.0.1:$port ssl" . ($http2 ? ' http2' : '');
	my ($upstream, $action) = ('', 'return 200;');

	if ($receiver)
	{
		$upstream = 'upstream receiver { server 127.0.0.1:' . $receiver->port . '; keepalive 256; }';
		$action = 'proxy_pass http://receiver; proxy_http_version 1.1; proxy_set_header Connection "";'
		  . ' proxy_next_upstream off; proxy_buffering off;';
	}
	my $temporary = join ' ', map { "${_}_temp_path $dir/temp/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
	return <<"END";
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log $dir/error.log warn;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
	log_format te escape=none '\$msec\t\$connection\t\$server_protocol\t\$status\t\$http_webhook_id\t\$request_uri';
	access_log $dir/access.log te;
	$temporary
	keepalive_requests 10000000;
	client_max_body_size 64m;
	$upstream
	server {
		listen $listen;
		ssl_certificate $dir/server.pem;
		ssl_certificate_key $dir/server.key;
		location / { $action }
	}
}
END
}

sub port { return $_[0]->{port} }
sub ca_file { return "$_[0]->{dir}/ca.pem" }
sub url { return "https://127.0.0.1:$_[0]->{port}" . ($_[1] // '/') }

# Lines of the access log as arrays: time, connection, protocol, status, webhook-id, path.
sub requests
{
	my ($self) = @_;
	open my $file, '<', "$self->{dir}/access.log" or return;
	my @requests = map { chomp; [ split /\t/, $_, -1 ] } <$file>;
	close $file;
	return @requests;
}

sub count_ids
{
	my ($self) = @_;
	my %count;
	$count{ $_->[4] }++ for grep { $_->[4] ne '' } $self->requests;
	return %count;
}

sub protocols
{
	my ($self) = @_;
	my %count;
	$count{ $_->[2] }++ for $self->requests;
	return %count;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid};
	return unless $pid and $self->{owner} == $$;
	kill 'TERM', $pid;
	waitpid $pid, 0;
	return;
}

sub DESTROY { local ($?, $@, $!); $_[0]->stop }

1;
