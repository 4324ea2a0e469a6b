/* SPDX-License-Identifier: MIT */
/*
 * Addresses as text, and back.
 *
 *	address = ipv4 ":" port | "[" ipv6 [ "%" zone ] "]" ":" port | "unix:" path
 *	port    = 0 to 65535, decimal, without leading zeros
 *	zone    = the number of an interface, for link-local addresses
 *	path    = 1 to 107 bytes; relative ones are relative to the working directory
 *
 * Strict, because an address that is read in another sense than it was written in listens on, or
 * talks to, the wrong place: no names, no blanks, no octal, no control characters, no abstract
 * sockets. In return each refusal is a sentence that quotes the text, names the part that is wrong,
 * and says what would be right.
 *
 * The text is cut into spans; each parser takes one span and either fills the address or complains.
 */
#include "net/address.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "core/poller.h"
#include "io/system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define EXAMPLES "write 127.0.0.1:80, [::1]:80 or unix:/path"

enum {
	PATH_BYTES_MAX = sizeof((struct sockaddr_un){ 0 }.sun_path) - 1, /* one is for the 0 */
	QUOTE_BYTES_MAX = 60, /* of each text quoted; two and any phrase make a sentence */
};

_Static_assert(sizeof(struct sockaddr_un) < sizeof((struct weft_address){ 0 }.storage.bytes),
	       "a path without a 0 of its own must still be followed by one");

/* A part of the text. */
struct span {
	const char *start;
	size_t bytes;
};

/* The text being read, and where to complain. */
struct parser {
	const char *text;
	char *why; /* WEFT_ADDRESS_TEXT_MAX bytes, or NULL */
};

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static struct span span_of(const char *text)
{
	return (struct span){ text, strlen(text) };
}

/*
 * Complaints
 */

/* Appends to a sentence, which has room for all we say. */
static void say(struct wf_buffer *sentence, const char *text)
{
	int result = wf_buffer_append(sentence, text, strlen(text));

	wf_assert(result == 0);
}

/* Printable ASCII that can stand between quotes as it is. */
static bool is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

/* Quotes what may be anything: on one line, harmless to a terminal, its end cut off if long. */
static void say_quoted(struct wf_buffer *sentence, struct span span)
{
	size_t limit, i;

	say(sentence, "\"");
	limit = wf_buffer_length(sentence) + QUOTE_BYTES_MAX;
	for (i = 0; i < span.bytes && wf_buffer_length(sentence) < limit; i++) {
		char c = span.start[i];
		char shown[sizeof "\\xff"];

		(void)snprintf(shown, sizeof shown, is_plain(c) ? "%c" : "\\x%02x",
			       (unsigned char)c);
		say(sentence, shown);
	}
	say(sentence, i < span.bytes ? "\"..." : "\"");
}

/* Says: "text": before "part" after. Without a part: "text": before. */
static int complain(const struct parser *parser, const char *before, struct span part,
		    const char *after)
{
	struct wf_buffer sentence;

	if (!parser->why)
		return WEFT_EADDRESS;
	wf_buffer_init_fixed(&sentence, parser->why, WEFT_ADDRESS_TEXT_MAX);
	if (parser->text) {
		say_quoted(&sentence, span_of(parser->text));
		say(&sentence, ": ");
	}
	say(&sentence, before);
	if (part.start) {
		say_quoted(&sentence, part);
		say(&sentence, after);
	}
	return WEFT_EADDRESS;
}

static int complain_whole(const struct parser *parser, const char *phrase)
{
	return complain(parser, phrase, (struct span){ 0 }, "");
}

/*
 * Parsing
 */

/* Reads a decimal number without sign, blanks or leading zeros; `noun` names it in complaints. */
static int parse_number(const struct parser *parser, const char *noun, struct span span,
			uint32_t maximum, const char *beyond, uint32_t *ret_number)
{
	uint64_t number = 0;

	if (span.bytes == 0)
		return complain(parser, noun, span, " is not a decimal number");
	for (size_t i = 0; i < span.bytes; i++) {
		char c = span.start[i];

		if (c < '0' || c > '9')
			return complain(parser, noun, span, " is not a decimal number");
		if (number <= maximum) /* enough to know, and it cannot overflow */
			number = number * 10 + (uint64_t)(c - '0');
	}
	if (span.bytes > 1 && span.start[0] == '0')
		return complain(parser, noun, span, " has a leading zero; leave it out");
	if (number > maximum)
		return complain(parser, noun, span, beyond);
	*ret_number = (uint32_t)number;
	return 0;
}

/* Reads what follows the host: a colon and a port, in network byte order. */
static int parse_port(const struct parser *parser, const char *rest, in_port_t *ret_port)
{
	uint32_t port;
	int result;

	if (rest[0] == 0 || rest[1] == 0)
		return complain_whole(parser, "the port is missing; append one, as in 127.0.0.1:80"
					      " or [::1]:80");
	result = parse_number(parser, "the port ", span_of(rest + 1), 65535,
			      " is not between 0 and 65535", &port);
	if (result == 0)
		*ret_port = htons((uint16_t)port);
	return result;
}

/* inet_pton(3) of a span. */
static bool parse_host(int family, struct span host, void *ret_host)
{
	char text[INET6_ADDRSTRLEN]; /* the longest there is, so what does not fit is none */

	if (host.bytes >= sizeof text)
		return false;
	memcpy(text, host.start, host.bytes);
	text[host.bytes] = 0;
	return inet_pton(family, text, ret_host) == 1;
}

static void store(struct weft_address *address, const void *sockaddr, size_t bytes)
{
	wf_assert(bytes <= sizeof address->storage.bytes);
	*address = (struct weft_address){ .length = (uint32_t)bytes };
	memcpy(address->storage.bytes, sockaddr, bytes);
}

static int parse_unix(const struct parser *parser, const char *path, struct weft_address *address)
{
	struct sockaddr_un socket = { .sun_family = AF_UNIX };
	size_t bytes = strlen(path);

	if (bytes == 0)
		return complain_whole(parser, "the path is empty; write unix:/path");
	if (path[0] == '@')
		return complain_whole(parser, "abstract sockets are not supported; write"
					      " unix:/path, or unix:./@name for a file");
	if (bytes > PATH_BYTES_MAX)
		return complain_whole(parser, "the path is longer than the 107 bytes that fit a"
					      " socket's address; choose a shorter one");
	memcpy(socket.sun_path, path, bytes);
	store(address, &socket, offsetof(struct sockaddr_un, sun_path) + bytes + 1);
	return 0;
}

/* `open` is the text behind the opening bracket. */
static int parse_ipv6(const struct parser *parser, const char *open, struct weft_address *address)
{
	struct sockaddr_in6 socket = { .sin6_family = AF_INET6 };
	struct span inside = { open, strcspn(open, "]") };
	struct span host = { open, strcspn(open, "%]") };
	const char *rest = open + inside.bytes + 1;
	int result;

	if (open[inside.bytes] == 0)
		return complain_whole(parser, "the bracket is not closed; write [::1]:80");
	if (!parse_host(AF_INET6, host, &socket.sin6_addr))
		return complain(parser, "", host, " is not an IPv6 address; write [::1]:80");
	if (host.bytes < inside.bytes) {
		struct span zone = { open + host.bytes + 1, inside.bytes - host.bytes - 1 };

		result = parse_number(parser, "the zone ", zone, UINT32_MAX,
				      " is beyond the number of any interface",
				      &socket.sin6_scope_id);
		if (result < 0)
			return result;
	}
	if (rest[0] && rest[0] != ':')
		return complain(parser, "", span_of(rest), " follows the bracket; write [::1]:80");
	result = parse_port(parser, rest, &socket.sin6_port);
	if (result == 0)
		store(address, &socket, sizeof socket);
	return result;
}

static int parse_ipv4(const struct parser *parser, struct weft_address *address)
{
	struct sockaddr_in socket = { .sin_family = AF_INET };
	struct span host = { parser->text, strcspn(parser->text, ":") };
	int result;

	if (host.bytes == 0)
		return complain_whole(parser, "the host is empty; write 0.0.0.0:80 or [::]:80 to"
					      " listen on every interface");
	if (!parse_host(AF_INET, host, &socket.sin_addr))
		return complain(parser, "", host,
				" is not an IPv4 address (names are not looked up"
				" yet); " EXAMPLES);
	result = parse_port(parser, parser->text + host.bytes, &socket.sin_port);
	if (result == 0)
		store(address, &socket, sizeof socket);
	return result;
}

/* Hexadecimal digits, a colon, and another colon somewhere: no IPv4 address begins so. */
static bool lacks_brackets(const char *text)
{
	size_t group = strspn(text, "0123456789abcdefABCDEF");

	return text[group] == ':' && strchr(text + group + 1, ':');
}

int weft_address_parse(const char *text, struct weft_address *ret_address, char *reterr_why)
{
	struct parser parser = { text, reterr_why };

	wf_assert(ret_address);
	if (!text)
		return complain_whole(&parser, "the text is NULL; " EXAMPLES);
	if (!*text)
		return complain_whole(&parser, "the text is empty; " EXAMPLES);
	for (const char *c = text; *c; c++) {
		if (is_control(*c))
			return complain(&parser, "the control character ", (struct span){ c, 1 },
					" cannot be part of an address; remove it");
	}
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(&parser, text + 5, ret_address);
	if (text[0] == '[')
		return parse_ipv6(&parser, text + 1, ret_address);
	if (lacks_brackets(text))
		return complain_whole(&parser, "an IPv6 address needs brackets; write [::1]:80");
	return parse_ipv4(&parser, ret_address);
}

/*
 * Formatting
 */

static int format_ipv4(const struct weft_address *address, struct wf_buffer *text)
{
	struct sockaddr_in socket;
	char host[INET_ADDRSTRLEN];

	memcpy(&socket, address->storage.bytes, sizeof socket);
	(void)inet_ntop(AF_INET, &socket.sin_addr, host, sizeof host); /* large enough for any */
	return wf_buffer_appendf(text, "%s:%u", host, ntohs(socket.sin_port));
}

static int format_ipv6(const struct weft_address *address, struct wf_buffer *text)
{
	struct sockaddr_in6 socket;
	char host[INET6_ADDRSTRLEN];

	memcpy(&socket, address->storage.bytes, sizeof socket);
	(void)inet_ntop(AF_INET6, &socket.sin6_addr, host, sizeof host); /* large enough for any */
	if (socket.sin6_scope_id)
		return wf_buffer_appendf(text, "[%s%%%u]:%u", host, socket.sin6_scope_id,
					 ntohs(socket.sin6_port));
	return wf_buffer_appendf(text, "[%s]:%u", host, ntohs(socket.sin6_port));
}

/* A socket without a file has an abstract name, shown with an "@" for its leading 0, or none. So
 * that the text is one line, control characters show as "?"; no address with one can be parsed. */
static int format_unix(const struct weft_address *address, struct wf_buffer *text)
{
	struct sockaddr_un socket;
	const char *path = wf_address_path(address);
	size_t bytes = address->length - offsetof(struct sockaddr_un, sun_path);

	memcpy(&socket, address->storage.bytes, sizeof socket);
	if (path)
		bytes = strlen(path);
	if (bytes > sizeof socket.sun_path)
		bytes = sizeof socket.sun_path; /* the kernel's lengths may count one 0 more */
	if (bytes && !path)
		socket.sun_path[0] = '@';
	for (size_t i = 0; i < bytes; i++) {
		if (is_control(socket.sun_path[i]))
			socket.sun_path[i] = '?';
	}
	return wf_buffer_appendf(text, "unix:%.*s", (int)bytes, socket.sun_path);
}

const char *weft_address_format(const struct weft_address *address, char *text)
{
	struct wf_buffer buffer;
	int family = wf_address_family(address);
	int result;

	wf_buffer_init_fixed(&buffer, text, WEFT_ADDRESS_TEXT_MAX);
	if (family == AF_INET && address->length >= sizeof(struct sockaddr_in))
		result = format_ipv4(address, &buffer);
	else if (family == AF_INET6 && address->length >= sizeof(struct sockaddr_in6))
		result = format_ipv6(address, &buffer);
	else if (family == AF_UNIX)
		result = format_unix(address, &buffer);
	else
		result = wf_buffer_appendf(&buffer, "(no address, family %d)", family);
	wf_assert(result == 0);
	return text;
}

/*
 * For the rest of net/
 */

int wf_address_family(const struct weft_address *address)
{
	sa_family_t family;

	if (address->length < sizeof family || address->length > sizeof address->storage.bytes)
		return AF_UNSPEC;
	memcpy(&family, address->storage.bytes, sizeof family);
	return family;
}

const char *wf_address_path(const struct weft_address *address)
{
	const size_t start = offsetof(struct sockaddr_un, sun_path);

	if (wf_address_family(address) != AF_UNIX || address->length <= start)
		return NULL;
	if (address->storage.bytes[start] == 0)
		return NULL;
	return (const char *)address->storage.bytes + start;
}

/* Stores what the kernel filled in. Its families that weft does not know may be longer. */
static int store_socket(const struct sockaddr_storage *socket, socklen_t bytes,
			struct weft_address *ret_address)
{
	if (bytes > sizeof ret_address->storage.bytes)
		return -EAFNOSUPPORT;
	store(ret_address, socket, bytes);
	return 0;
}

int wf_address_of(struct wf_poller *poller, int fd, bool of_peer, struct weft_address *ret_address)
{
	struct sockaddr_storage socket;
	socklen_t bytes;
	int r = poller->system->name(poller, fd, of_peer, &socket, &bytes);

	return r < 0 ? r : store_socket(&socket, bytes, ret_address);
}
