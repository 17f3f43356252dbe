
=pod

=head1 NAME

Webhook - Standard Webhooks 1.0 signatures, in core Perl, independent of the extension's C

=head1 SYNOPSIS

  use Webhook;

  my $secret = Webhook::new_secret();                                    # whsec_...
  my $good = Webhook::verify($request, $secret, tolerance => 300);       # a request of Receiver
  my $signature = Webhook::sign($secret, $id, $timestamp, $body);        # v1,...

=cut

package Webhook;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 sha256);
use MIME::Base64 qw(encode_base64 decode_base64);

# A secret of 32 bytes that follows from a seed, so that a run can be repeated.
sub new_secret
{
	my ($seed) = @_;
	return 'whsec_' . encode_base64(sha256($seed // 'trigger_engine test'), '');
}

# The v1 signature of a message.
sub sign
{
	my ($secret, $id, $timestamp, $body) = @_;
	my $key = decode_base64($secret =~ s/^whsec_//r);
	return 'v1,' . encode_base64(hmac_sha256("$id.$timestamp.$body", $key), '');
}

# Whether a recorded request carries a right signature by this secret, and its
# timestamp is no further than tolerance seconds from its arrival.
sub verify
{
	my ($request, $secret, %option) = @_;
	my ($id, $timestamp) = @$request{qw(id timestamp)};

	return 0 unless $id =~ /^[^.]+$/ and $timestamp =~ /^\d+$/;
	return 0 if abs($timestamp - $request->{time}) > ($option{tolerance} // 300);
	my $wanted = sign($secret, $id, $timestamp, $request->{body});
	return scalar grep { $_ eq $wanted } split / /, $request->{signature};
}

1;
