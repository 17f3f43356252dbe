# What messages are sent to: the C sink that notes arrivals, and nginx with TLS and HTTP/2.
package Sinks;

use strict;
use warnings;

use Bench;
use IO::Socket::INET;
use Tls;

my $number = 0;

# A sink that notes arrivals, or with "hang" one that never answers.
sub noting
{
	my (@mode) = @_;
	my $name = "$Bench::Dir/sink" . ++$number;
	my $pid = Bench::start_child("$Bench::Tools/sink", "$name.port", "$name.log", @mode);

	Bench::wait_until(sub { Bench::slurp("$name.port") =~ /\n/ }, 10, 'the sink listens');
	chomp(my $port = Bench::slurp("$name.port"));
	return { pid => $pid, url => "http://127.0.0.1:$port/", log => "$name.log" };
}

# Ends a sink and returns its arrivals: microseconds since 1970 by id.
sub arrivals
{
	my ($sink) = @_;
	Bench::stop_child($sink->{pid});
	return { map { reverse split / / } split /\n/, Bench::slurp($sink->{log}) };
}

# nginx that reads each request and answers 200, on the second core where there is one.
# Without the echo module, which Debian's nginx-light brings along, it answers before it
# has read the body, and then gives some streams up.
sub tls
{
	my $dir = "$Bench::Dir/tls" . ++$number;
	my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, Proto => 'tcp') or die "no free port: $@\n";
	my $port = $probe->sockport;
	my $echo = '/usr/lib/nginx/modules/ngx_http_echo_module.so';
	my $load = -e $echo ? "load_module $echo;" : '';
	my $action = -e $echo ? 'echo_read_request_body; echo ok;' : 'return 200 "ok\n";';
	my $temporary = join ' ', map { "${_}_temp_path $dir/$_;" } qw(client_body proxy fastcgi uwsgi scgi);

	close $probe;
	mkdir $dir;
	Tls::make_certificate($dir, 'good');
	Bench::write_file("$dir/nginx.conf", <<"END");
$load
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log $dir/error.log warn;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
	access_log off;
	$temporary
	keepalive_requests 100000000;
	http2_max_concurrent_streams 512;
	server {
		listen 127.0.0.1:$port ssl http2;
		ssl_certificate $dir/server.pem;
		ssl_certificate_key $dir/server.key;
		location / { $action }
	}
}
END
	my $nginx = Tls::program('nginx') or die "nginx is not installed\n";
	my $pid = Bench::start_child($nginx, '-e', "$dir/error.log", '-p', $dir, '-c', "$dir/nginx.conf");
	Bench::wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) }, 10, 'nginx listens');
	Bench::pin($pid, Bench::cores() - 1);
	return { pid => $pid, url => "https://127.0.0.1:$port/", ca_file => "$dir/ca.pem" };
}

# A provider for a sink, with a secret.
sub provider
{
	my ($server, $name, $sink, %option) = @_;
	my %options = (url => $sink->{url}, %option, $sink->{ca_file} ? (ca_file => $sink->{ca_file}) : ());
	my $json = join ', ', map { qq{"$_": "$options{$_}"} =~ s/"(\d+)"$/$1/r } sort keys %options;

	$server->sql("SELECT trigger_engine.create_provider('$name', 'webhook', '{$json}', or_replace => true)");
	$server->sql("SELECT trigger_engine.set_secret('$name', '{\"keys\": [\"whsec_" . 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=' . "\"]}')");
	return;
}

# A journey from an event straight to a provider, or after a wait.
sub journey
{
	my ($server, $event, $provider, %option) = @_;
	my $wait = $option{wait} ? qq({"id": "wait", "wait": "$option{wait}"}, ) : '';
	my $template = $option{template} // 'note';

	$server->sql("SELECT trigger_engine.create_journey('$event', '{\"kind\": \"event\", \"name\": \"$event\"}',"
		  . " '[$wait\{\"id\": \"send\", \"send\": \"$template\", \"provider\": \"$provider\"}]', or_replace => true)");
	return;
}

1;
