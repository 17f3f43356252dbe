
=pod

=head1 NAME

Receiver - an HTTP/1.1 server that records what it gets and misbehaves on command

=head1 SYNOPSIS

  use Receiver;

  my $receiver = Receiver->new(dir => $directory);
  my $url = $receiver->url('/hook');

  $receiver->mode('/hook', 'status', status => 429, headers => { 'Retry-After' => 2 }, times => 1);
  $receiver->wait_for(100, 30) or die;
  my @requests = $receiver->received;
  my %times_seen = $receiver->count_ids;
  $receiver->stop;

=head1 DESCRIPTION

One forked process serves all connections with non-blocking sockets and
keep-alive. Every request that was read whole is appended to a file before it is
answered, so that losses and duplicates can be counted exactly whatever happens
to either side.

=head2 Modes

A path has one mode; paths without one have that of the path C<*>, which is C<ok>
at the start. A control request changes it, so that requests which arrive after
C<mode> returns meet the new one.

  ok            200, an empty body
  status        an answer with "status", "headers", "body"
  slow          the same after "delay" seconds
  hang          no answer ever, the connection stays open
  reset         the connection is reset after the request was read
  cut           the connection is closed after the request was read ("empty reply")
  half          an answer that is closed in the middle of its body
  half_header   an answer that is closed in the middle of its status line
  malformed     an answer whose status line and header are no HTTP
  huge          a body of "size" bytes, 50 MB unless told
  drip          a body of "size" bytes, one every "interval" seconds
  wrong_length  Content-Length is "declared", the body is shorter and the connection stays open

Options of every mode: C<times> - the mode holds for so many requests, then C<ok>
returns; C<first_of_id> - it holds only for the first request of each webhook-id;
C<delay> - seconds to wait before the answer starts.

=cut

package Receiver;

use strict;
use warnings;

use Carp;
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK O_WRONLY O_APPEND O_CREAT);
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64 decode_base64);
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

use constant FIELDS =>
  qw(time connection in_flight method path mode status id timestamp signature headers body);

my %running;

my %reason = (
	100 => 'Continue', 200 => 'OK', 202 => 'Accepted', 204 => 'No Content',
	301 => 'Moved Permanently', 302 => 'Found', 307 => 'Temporary Redirect',
	308 => 'Permanent Redirect', 400 => 'Bad Request', 401 => 'Unauthorized',
	403 => 'Forbidden', 404 => 'Not Found', 410 => 'Gone', 413 => 'Content Too Large',
	429 => 'Too Many Requests', 500 => 'Internal Server Error', 502 => 'Bad Gateway',
	503 => 'Service Unavailable', 504 => 'Gateway Timeout');

# ---- the side of the test ----

# Starts a receiver. Options: dir (where the record goes; required), name, port
# (0 = any), address, bodies (0 = do not record headers and bodies).
sub new
{
	my ($class, %option) = @_;
	my $name = $option{name} // 'receiver';
	croak 'a receiver needs a directory' unless defined $option{dir};

	my $self = bless {
		file => "$option{dir}/$name.requests",
		address => $option{address} // '127.0.0.1',
		bodies => $option{bodies} // 1,
		counted => 0,
		position => 0 }, $class;
	$self->start($option{port} // 0);
	return $self;
}

# (Re)starts the process; without an argument on the port it had. The record goes on.
sub start
{
	my ($self, $port) = @_;

	my $listener = IO::Socket::INET->new(
		LocalAddr => $self->{address},
		LocalPort => $port // $self->{port},
		Proto => 'tcp',
		Listen => 4096,
		ReuseAddr => 1) or croak "could not listen: $@";
	$self->{port} = $listener->sockport;

	# the child ends when this pipe closes, however the test ends
	pipe(my $alive_read, my $alive_write) or croak "pipe: $!";
	my $pid = fork // croak "fork: $!";
	if ($pid == 0)
	{
		close $alive_write;
		$SIG{PIPE} = 'IGNORE';
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP __DIE__ __WARN__);
		eval { Receiver::Loop->new($self, $listener, $alive_read)->run; 1 } or print STDERR "receiver: $@";
		POSIX::_exit(0);
	}
	close $listener;
	close $alive_read;
	$self->{alive} = $alive_write;
	$self->{pid} = $pid;
	$running{ $self + 0 } = [ $$, $pid ];
	return;
}

# Ends the process; from then on connections are refused.
sub stop
{
	my ($self) = @_;
	my $entry = delete $running{ $self + 0 } or return;
	return if $entry->[0] != $$;
	kill 'KILL', $entry->[1];
	waitpid $entry->[1], 0;
	close $self->{alive};
	return;
}

sub DESTROY { local ($?, $@, $!); $_[0]->stop }

END
{
	local $?;
	for my $entry (values %running)
	{
		kill 'KILL', $entry->[1] if $entry->[0] == $$;
	}
}

sub port { return $_[0]->{port} }
sub pid { return $_[0]->{pid} }
sub file { return $_[0]->{file} }

sub url
{
	my ($self, $path) = @_;
	return "http://$self->{address}:$self->{port}" . ($path // '/');
}

# Sets the mode of a path (or '*'); see above.
sub mode
{
	my ($self, $path, $mode, %option) = @_;
	croak "unknown mode $mode" unless Receiver::Loop->can("mode_$mode");

	my $headers = delete $option{headers} // {};
	my @fields = ("path=$path", "mode=$mode", map { "$_=$option{$_}" } sort keys %option);
	push @fields, map { "header=$_: $headers->{$_}" } sort keys %$headers;
	$self->control(join "\t", map { s/([%\t\r\n])/sprintf '%%%02X', ord $1/ger } @fields);
	return;
}

# Sends one control request and waits for its answer.
sub control
{
	my ($self, $text) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => $self->{address},
		PeerPort => $self->{port},
		Timeout => 10) or croak "receiver does not answer: $@";
	print $socket "POST /_control HTTP/1.1\r\nHost: receiver\r\nConnection: close\r\nContent-Length: "
	  . length($text) . "\r\n\r\n$text";
	my $answer = join '', <$socket>;
	croak "receiver refused: $answer" unless $answer =~ m{^HTTP/1.1 200};
	return;
}

# All requests so far, oldest first, as hashes of the fields time, connection
# (number), in_flight (requests open with this one), method, path, mode, status,
# id, timestamp, signature, headers, body. With a path only those.
sub received
{
	my ($self, $path) = @_;
	my @requests;

	open my $file, '<', $self->{file} or return;
	while (my $line = <$file>)
	{
		last unless chomp $line;
		my %request;
		@request{ +FIELDS } = split /\t/, $line, -1;
		$request{$_} = decode_base64($request{$_}) for qw(headers body);
		push @requests, \%request if not defined $path or $request{path} eq $path;
	}
	close $file;
	return @requests;
}

# How often each webhook-id came: (id => times, ...).
sub count_ids
{
	my ($self) = @_;
	my %count;

	open my $file, '<', $self->{file} or return;
	while (my $line = <$file>)
	{
		last unless chomp $line;
		my $id = (split /\t/, $line, 9)[7];
		$count{$id}++ if $id ne '';
	}
	close $file;
	return %count;
}

# Number of requests so far.
sub count
{
	my ($self) = @_;

	open my $file, '<', $self->{file} or return 0;
	sysseek $file, $self->{position}, 0;
	while (my $read = sysread $file, my $buffer, 1 << 20)
	{
		$self->{counted} += ($buffer =~ tr/\n//);
		$self->{position} += $read;
	}
	close $file;
	return $self->{counted};
}

# Waits until there are at least n requests; false after timeout seconds.
sub wait_for
{
	my ($self, $n, $timeout) = @_;
	my $until = time + ($timeout // 30);

	while ($self->count < $n)
	{
		return 0 if time > $until;
		sleep 0.01;
	}
	return 1;
}

# Waits until no request came for a while; returns their number.
sub wait_quiet
{
	my ($self, $seconds) = @_;
	my ($last, $since) = ($self->count, time);

	while (time - $since < ($seconds // 1))
	{
		sleep 0.05;
		($last, $since) = ($self->count, time) if $self->count != $last;
	}
	return $last;
}

# Forgets what was recorded. Only while no request is on its way.
sub clear
{
	my ($self) = @_;
	truncate $self->{file}, 0;
	@$self{qw(counted position)} = (0, 0);
	return;
}

# ---- the server process ----

package Receiver::Loop;

use strict;
use warnings;

use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use MIME::Base64 qw(encode_base64 decode_base64);
use Fcntl qw(O_WRONLY O_APPEND O_CREAT);
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

# A connection is an array: sockets and strings by these numbers.
use constant { SOCKET => 0, IN => 1, OUT => 2, CLOSE => 3, BUSY => 4, NUMBER => 5, MORE => 6 };

sub new
{
	my ($class, $receiver, $listener, $alive) = @_;

	sysopen my $record, $receiver->{file}, O_WRONLY | O_APPEND | O_CREAT, 0644 or die "$receiver->{file}: $!";
	$listener->blocking(0);
	return bless {
		listener => $listener,
		alive => fileno $alive,
		alive_handle => $alive,
		record => $record,
		bodies => $receiver->{bodies},
		modes => { '*' => { mode => 'ok' } },
		connections => {},
		accepted => 0,
		in_flight => 0,
		timers => [],
		lines => '',
		answers => [],
		seen => {},
		read => '',
		write => '' }, $class;
}

# The one wait point. Requests of a round are recorded before any is answered.
sub run
{
	my ($self) = @_;
	my $listen_fd = fileno $self->{listener};

	vec($self->{read}, $_, 1) = 1 for $listen_fd, $self->{alive};
	while (1)
	{
		my $wait = @{ $self->{timers} } ? $self->{timers}[0][0] - time : 60;
		my ($read, $write) = @$self{qw(read write)};
		my $ready = select $read, $write, undef, $wait > 0 ? $wait : 0;
		if ($ready > 0)
		{
			return if vec $read, $self->{alive}, 1;
			$self->accept_all if vec $read, $listen_fd, 1;
			vec($read, $listen_fd, 1) = 0;
			$self->each_bit($read, 'readable');
			$self->each_bit($write, 'writable');
		}
		$self->flush;
		while (@{ $self->{timers} } and $self->{timers}[0][0] <= time)
		{
			my (undef, $fd, $number, $action) = @{ shift @{ $self->{timers} } };
			my $connection = $self->{connections}{$fd};
			$action->($fd, $connection) if $connection and $connection->[NUMBER] == $number;
		}
	}
}

# Calls a method for every descriptor that is set in a select() vector.
sub each_bit
{
	my ($self, $vector, $method) = @_;
	my $bits = unpack 'b*', $vector;
	my $fd = -1;

	while (($fd = index $bits, '1', $fd + 1) >= 0)
	{
		$self->$method($fd, $self->{connections}{$fd}) if $self->{connections}{$fd};
	}
	return;
}

sub accept_all
{
	my ($self) = @_;

	while (my $socket = $self->{listener}->accept)
	{
		$socket->blocking(0);
		setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
		my $fd = fileno $socket;
		$self->{connections}{$fd} = [ $socket, '', '', 0, 0, ++$self->{accepted}, undef ];
		vec($self->{read}, $fd, 1) = 1;
	}
	return;
}

sub readable
{
	my ($self, $fd, $connection) = @_;
	my $got = sysread $connection->[SOCKET], $connection->[IN], 65536, length $connection->[IN];

	if (not defined $got)
	{
		$self->drop($fd) unless $! == EAGAIN or $! == EWOULDBLOCK or $! == EINTR;
		return;
	}
	return $self->drop($fd) if $got == 0;
	$self->take_request($fd, $connection) unless $connection->[BUSY];
	return;
}

# Takes one whole request out of the buffer, if there is one, and starts its answer.
sub take_request
{
	my ($self, $fd, $connection) = @_;
	my $end = index $connection->[IN], "\r\n\r\n";
	return if $end < 0;

	my $head = substr $connection->[IN], 0, $end;
	my ($method, $path) = $head =~ m{^(\S+) (\S+) HTTP/1};
	return $self->drop($fd) unless defined $path;
	my ($body, $size);
	if ($head =~ /^transfer-encoding:\s*chunked/mi)
	{
		($body, $size) = unchunk(substr $connection->[IN], $end + 4);
	}
	else
	{
		my $length = $head =~ /^content-length:\s*(\d+)/mi ? $1 : 0;
		if (length $connection->[IN] >= $end + 4 + $length)
		{
			($body, $size) = (substr($connection->[IN], $end + 4, $length), $length);
		}
	}
	if (not defined $body)
	{
		if ($head =~ /^expect:\s*100-continue/mi and length $connection->[IN] == $end + 4)
		{
			$self->send($fd, $connection, "HTTP/1.1 100 Continue\r\n\r\n");
		}
		return;
	}
	substr $connection->[IN], 0, $end + 4 + $size, '';
	$connection->[BUSY] = 1;
	$connection->[CLOSE] = 1 if $head =~ /^connection:\s*close/mi;
	$self->{in_flight}++;
	if ($path eq '/_control')
	{
		$self->change_mode($body);
		return $self->answer($fd, $connection, {});
	}
	$self->handle($fd, $connection, $method, $path, $head, $body);
	return;
}

# Decodes a chunked body: (body, bytes used), or nothing while it is not whole.
sub unchunk
{
	my ($in) = @_;
	my ($body, $at) = ('', 0);

	while (substr($in, $at) =~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/)
	{
		my ($size, $skip) = (hex $1, length $&);
		return if length $in < $at + $skip + $size + 2;
		$body .= substr $in, $at + $skip, $size;
		$at += $skip + $size + 2;
		return ($body, $at) if $size == 0;
	}
	return;
}

sub change_mode
{
	my ($self, $text) = @_;
	my %mode = (headers => []);

	for my $field (split /\t/, $text)
	{
		$field =~ s/%([0-9A-F]{2})/chr hex $1/ge;
		my ($key, $value) = split /=/, $field, 2;
		if ($key eq 'header') { push @{ $mode{headers} }, $value }
		else { $mode{$key} = $value }
	}
	$self->{modes}{ delete $mode{path} } = \%mode;
	return;
}

# Records a request and has its mode answer it.
sub handle
{
	my ($self, $fd, $connection, $method, $path, $head, $body) = @_;
	my ($id) = $head =~ /^webhook-id:[ \t]*([^\r\n]*)/mi;
	my ($timestamp) = $head =~ /^webhook-timestamp:[ \t]*([^\r\n]*)/mi;
	my ($signature) = $head =~ /^webhook-signature:[ \t]*([^\r\n]*)/mi;
	my $mode = $self->{modes}{$path} // $self->{modes}{'*'};

	tr/\t//d for grep { defined } $id, $timestamp, $signature;
	if ($mode->{first_of_id} and $self->{seen}{ $id // '' }++
		or defined $mode->{times} and $mode->{times}-- <= 0)
	{
		$mode = { mode => 'ok' };
	}
	my $status = $mode->{status} // 200;
	$self->{lines} .= join("\t",
		sprintf('%.6f', time), $connection->[NUMBER], $self->{in_flight}, $method, $path,
		$mode->{mode}, $status, $id // '', $timestamp // '', $signature // '',
		$self->{bodies} ? (encode_base64($head, ''), encode_base64($body, '')) : ('', '')) . "\n";

	my $act = "mode_$mode->{mode}";
	if ($mode->{delay})
	{
		$self->after($mode->{delay}, $fd, $connection, sub { $self->$act($fd, $connection, $mode) });
	}
	else
	{
		push @{ $self->{answers} }, sub { $self->$act($fd, $connection, $mode) };
	}
	return;
}

# Writes the record, then lets the answers of this round go.
sub flush
{
	my ($self) = @_;

	while (@{ $self->{answers} } or length $self->{lines})
	{
		my $lines = $self->{lines};
		my $answers = $self->{answers};
		@$self{qw(lines answers)} = ('', []);
		die "could not write the record: $!"
		  if length $lines and syswrite($self->{record}, $lines) != length $lines;
		$_->() for @$answers;
	}
	return;
}

# Has an action run for the connection after some seconds, if it still exists.
sub after
{
	my ($self, $seconds, $fd, $connection, $action) = @_;
	my $entry = [ time + $seconds, $fd, $connection->[NUMBER], $action ];
	my $timers = $self->{timers};
	my ($low, $high) = (0, scalar @$timers);

	while ($low < $high)
	{
		my $middle = int(($low + $high) / 2);
		if ($timers->[$middle][0] <= $entry->[0]) { $low = $middle + 1 }
		else { $high = $middle }
	}
	splice @$timers, $low, 0, $entry;
	return;
}

# Sends bytes now, keeping what the socket does not take.
sub send
{
	my ($self, $fd, $connection, $bytes) = @_;

	if (length $connection->[OUT])
	{
		$connection->[OUT] .= $bytes;
		return;
	}
	my $sent = syswrite $connection->[SOCKET], $bytes;
	if (not defined $sent)
	{
		return $self->drop($fd) unless $! == EAGAIN or $! == EWOULDBLOCK or $! == EINTR;
		$sent = 0;
	}
	if ($sent < length $bytes)
	{
		$connection->[OUT] = substr $bytes, $sent;
		vec($self->{write}, $fd, 1) = 1;
	}
	return;
}

sub writable
{
	my ($self, $fd, $connection) = @_;
	my $sent = syswrite $connection->[SOCKET], $connection->[OUT];

	if (not defined $sent)
	{
		$self->drop($fd) unless $! == EAGAIN or $! == EWOULDBLOCK or $! == EINTR;
		return;
	}
	substr $connection->[OUT], 0, $sent, '';
	if (not length $connection->[OUT])
	{
		vec($self->{write}, $fd, 1) = 0;
		$connection->[MORE]->() if $connection->[MORE];
		$self->finish($fd, $connection) if $connection->[BUSY] == 2;
	}
	return;
}

# The answer is complete as soon as its bytes are sent.
sub finish
{
	my ($self, $fd, $connection) = @_;
	return unless $self->{connections}{$fd} and $self->{connections}{$fd} == $connection;

	$connection->[BUSY] = 2;
	return if length $connection->[OUT];
	$self->{in_flight}--;
	$connection->[BUSY] = 0;
	return $self->drop($fd) if $connection->[CLOSE];
	$self->take_request($fd, $connection) if length $connection->[IN];
	return;
}

sub drop
{
	my ($self, $fd) = @_;
	my $connection = delete $self->{connections}{$fd} or return;

	vec($self->{read}, $fd, 1) = 0;
	vec($self->{write}, $fd, 1) = 0;
	$self->{in_flight}-- if $connection->[BUSY];
	close $connection->[SOCKET];
	return;
}

sub answer_text
{
	my ($mode, $length) = @_;
	my $status = $mode->{status} // 200;
	my $reason = $reason{$status} // 'Status';

	return join "\r\n", "HTTP/1.1 $status $reason", @{ $mode->{headers} // [] },
	  "Content-Length: $length", '', '';
}

# A whole answer as the mode's options say.
sub answer
{
	my ($self, $fd, $connection, $mode) = @_;
	my $body = $mode->{body} // '';

	$self->send($fd, $connection, answer_text($mode, length $body) . $body);
	$self->finish($fd, $connection);
	return;
}

# ---- modes ----

sub mode_ok { my ($self, @rest) = @_; return $self->answer(@rest) }
sub mode_status { my ($self, @rest) = @_; return $self->answer(@rest) }
sub mode_slow { my ($self, @rest) = @_; return $self->answer(@rest) }
sub mode_hang { return }

sub mode_reset
{
	my ($self, $fd, $connection) = @_;
	setsockopt $connection->[SOCKET], SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	$self->drop($fd);
	return;
}

sub mode_cut { my ($self, $fd) = @_; return $self->drop($fd) }

sub mode_half
{
	my ($self, $fd, $connection, $mode) = @_;
	$connection->[CLOSE] = 1;
	$self->send($fd, $connection, answer_text($mode, 100) . 'x' x 50);
	$self->finish($fd, $connection);
	return;
}

sub mode_half_header
{
	my ($self, $fd, $connection, $mode) = @_;
	$connection->[CLOSE] = 1;
	$self->send($fd, $connection, substr answer_text($mode, 0), 0, 10);
	$self->finish($fd, $connection);
	return;
}

sub mode_malformed
{
	my ($self, $fd, $connection) = @_;
	$connection->[CLOSE] = 1;
	$self->send($fd, $connection, "HTTP/1.1 banana\r\n: nothing\r\nContent-Length: many\r\n\0\r\n\r\n");
	$self->finish($fd, $connection);
	return;
}

sub mode_huge
{
	my ($self, $fd, $connection, $mode) = @_;
	my $left = $mode->{size} // 50_000_000;

	$self->send($fd, $connection, answer_text($mode, $left));
	my $more = sub {
		while ($left > 0 and not length $connection->[OUT] and $self->{connections}{$fd})
		{
			my $size = $left > 65536 ? 65536 : $left;
			$left -= $size;
			$self->send($fd, $connection, 'x' x $size);
		}
		if ($left <= 0)
		{
			$connection->[MORE] = undef;
			$self->finish($fd, $connection);
		}
	};
	$connection->[MORE] = $more;
	$more->() unless length $connection->[OUT];
	return;
}

sub mode_drip
{
	my ($self, $fd, $connection, $mode) = @_;
	my $left = $mode->{size} // 60;

	$self->send($fd, $connection, answer_text($mode, $left));
	my $next;
	$next = sub {
		$self->send($fd, $connection, 'x');
		return $self->finish($fd, $connection) if --$left <= 0;
		$self->after($mode->{interval} // 1, $fd, $connection, $next);
	};
	$self->after($mode->{interval} // 1, $fd, $connection, $next);
	return;
}

sub mode_wrong_length
{
	my ($self, $fd, $connection, $mode) = @_;
	my $body = $mode->{body} // 'short';
	$self->send($fd, $connection, answer_text($mode, $mode->{declared} // length($body) + 100) . $body);
	return;
}

1;
