/* SPDX-License-Identifier: MIT */
#include "net/address.h"

#include "core/poller.h"
#include "harness/harness.h"
#include "io/system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define LENGTH(table) (sizeof(table) / sizeof *(table))
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define PATH_OF_107 "/" FIFTY FIFTY "abcdef"
#define EXAMPLES "write 127.0.0.1:80, [::1]:80 or unix:/path"
#define NOT_IPV4 " is not an IPv4 address (names are not looked up yet); " EXAMPLES
#define NO_PORT "the port is missing; append one, as in 127.0.0.1:80 or [::1]:80"

/* What is an address, and how it is formatted again. */
static const struct {
	const char *text;
	int family;
	const char *formatted; /* NULL: as it was */
} good[] = {
	{ "127.0.0.1:80", AF_INET, NULL },
	{ "0.0.0.0:0", AF_INET, NULL },
	{ "255.255.255.255:65535", AF_INET, NULL },
	{ "[::1]:80", AF_INET6, NULL },
	{ "[::]:0", AF_INET6, NULL },
	{ "[2001:db8:1:2:3:4:5:6]:65535", AF_INET6, NULL },
	{ "[2001:DB8::0001]:8080", AF_INET6, "[2001:db8::1]:8080" },
	{ "[::ffff:192.0.2.1]:1", AF_INET6, NULL },
	{ "[0000:0000:0000:0000:0000:ffff:192.168.100.200]:1", AF_INET6,
	  "[::ffff:192.168.100.200]:1" },
	{ "[fe80::1%2]:80", AF_INET6, NULL },
	{ "[fe80::1%0]:80", AF_INET6, "[fe80::1]:80" },
	{ "[fe80::1%4294967295]:80", AF_INET6, NULL },
	{ "unix:/run/weft.sock", AF_UNIX, NULL },
	{ "unix:relative", AF_UNIX, NULL },
	{ "unix:./@name", AF_UNIX, NULL },
	{ "unix:/with blank, \"quotes\" and :colons]", AF_UNIX, NULL },
	{ "unix:/\xc3\xa4", AF_UNIX, NULL },
	{ "unix:" PATH_OF_107, AF_UNIX, NULL },
};

/* What is none, and the sentence about it. */
static const struct {
	const char *text;
	const char *why;
} bad[] = {
	{ NULL, "the text is NULL; " EXAMPLES },
	{ "", "\"\": the text is empty; " EXAMPLES },

	{ "localhost:80", "\"localhost:80\": \"localhost\"" NOT_IPV4 },
	{ "localhost", "\"localhost\": \"localhost\"" NOT_IPV4 },
	{ "80", "\"80\": \"80\"" NOT_IPV4 },
	{ "*:80", "\"*:80\": \"*\"" NOT_IPV4 },
	{ "/run/x", "\"/run/x\": \"/run/x\"" NOT_IPV4 },
	{ "UNIX:/run/x", "\"UNIX:/run/x\": \"UNIX\"" NOT_IPV4 },
	{ "http://[::1]:80", "\"http://[::1]:80\": \"http\"" NOT_IPV4 },
	{ " 127.0.0.1:80", "\" 127.0.0.1:80\": \" 127.0.0.1\"" NOT_IPV4 },
	{ "127.0.0.1 :80", "\"127.0.0.1 :80\": \"127.0.0.1 \"" NOT_IPV4 },
	{ "127.0.1:80", "\"127.0.1:80\": \"127.0.1\"" NOT_IPV4 },
	{ "127.0.0.256:80", "\"127.0.0.256:80\": \"127.0.0.256\"" NOT_IPV4 },
	{ "127.0.0.01:80", "\"127.0.0.01:80\": \"127.0.0.01\"" NOT_IPV4 },
	{ "2130706433:80", "\"2130706433:80\": \"2130706433\"" NOT_IPV4 },
	{ "a\"b\\c:80", "\"a\\x22b\\x5cc:80\": \"a\\x22b\\x5cc\"" NOT_IPV4 },
	{ "\xc3\xa4:80", "\"\\xc3\\xa4:80\": \"\\xc3\\xa4\"" NOT_IPV4 },
	{ ":80", "\":80\": the host is empty; write 0.0.0.0:80 or [::]:80 to listen on every"
		 " interface" },

	{ "127.0.0.1", "\"127.0.0.1\": " NO_PORT },
	{ "127.0.0.1:", "\"127.0.0.1:\": " NO_PORT },
	{ "[::1]", "\"[::1]\": " NO_PORT },
	{ "[::1]:", "\"[::1]:\": " NO_PORT },
	{ "127.0.0.1:99999", "\"127.0.0.1:99999\": the port \"99999\" is not between 0 and 65535" },
	{ "127.0.0.1:65536", "\"127.0.0.1:65536\": the port \"65536\" is not between 0 and 65535" },
	{ "[::1]:65536", "\"[::1]:65536\": the port \"65536\" is not between 0 and 65535" },
	{ "1.2.3.4:18446744073709551617",
	  "\"1.2.3.4:18446744073709551617\": the port \"18446744073709551617\" is not between 0"
	  " and 65535" },
	{ "127.0.0.1:080", "\"127.0.0.1:080\": the port \"080\" has a leading zero; leave it out" },
	{ "127.0.0.1:00", "\"127.0.0.1:00\": the port \"00\" has a leading zero; leave it out" },
	{ "127.0.0.1:http", "\"127.0.0.1:http\": the port \"http\" is not a decimal number" },
	{ "127.0.0.1:-1", "\"127.0.0.1:-1\": the port \"-1\" is not a decimal number" },
	{ "127.0.0.1:+80", "\"127.0.0.1:+80\": the port \"+80\" is not a decimal number" },
	{ "127.0.0.1:0x50", "\"127.0.0.1:0x50\": the port \"0x50\" is not a decimal number" },
	{ "127.0.0.1: 80", "\"127.0.0.1: 80\": the port \" 80\" is not a decimal number" },
	{ "127.0.0.1:80 ", "\"127.0.0.1:80 \": the port \"80 \" is not a decimal number" },
	{ "127.0.0.1:80/", "\"127.0.0.1:80/\": the port \"80/\" is not a decimal number" },
	{ "127.0.0.1:80:90", "\"127.0.0.1:80:90\": the port \"80:90\" is not a decimal number" },
	{ "[::1]:80x", "\"[::1]:80x\": the port \"80x\" is not a decimal number" },

	{ "::1:80", "\"::1:80\": an IPv6 address needs brackets; write [::1]:80" },
	{ "::1", "\"::1\": an IPv6 address needs brackets; write [::1]:80" },
	{ "fe80::1%eth0", "\"fe80::1%eth0\": an IPv6 address needs brackets; write [::1]:80" },
	{ "2001:db8:1:2:3:4:5:6:80",
	  "\"2001:db8:1:2:3:4:5:6:80\": an IPv6 address needs brackets; write [::1]:80" },
	{ "::1]:80", "\"::1]:80\": an IPv6 address needs brackets; write [::1]:80" },
	{ "[::1:80", "\"[::1:80\": the bracket is not closed; write [::1]:80" },
	{ "[", "\"[\": the bracket is not closed; write [::1]:80" },
	{ "[]:80", "\"[]:80\": \"\" is not an IPv6 address; write [::1]:80" },
	{ "[127.0.0.1]:80",
	  "\"[127.0.0.1]:80\": \"127.0.0.1\" is not an IPv6 address; write [::1]:80" },
	{ "[::g]:80", "\"[::g]:80\": \"::g\" is not an IPv6 address; write [::1]:80" },
	{ "[[::1]]:80", "\"[[::1]]:80\": \"[::1\" is not an IPv6 address; write [::1]:80" },
	{ "[" FIFTY "]:80",
	  "\"[" FIFTY "]:80\": \"" FIFTY "\" is not an IPv6 address; write [::1]:80" },
	{ "[::1]80", "\"[::1]80\": \"80\" follows the bracket; write [::1]:80" },
	{ "[::1]]:80", "\"[::1]]:80\": \"]:80\" follows the bracket; write [::1]:80" },
	{ "[fe80::1%eth0]:80", "\"[fe80::1%eth0]:80\": the zone \"eth0\" is not a decimal number" },
	{ "[fe80::1%]:80", "\"[fe80::1%]:80\": the zone \"\" is not a decimal number" },
	{ "[fe80::1%02]:80",
	  "\"[fe80::1%02]:80\": the zone \"02\" has a leading zero; leave it out" },
	{ "[fe80::1%4294967296]:80", "\"[fe80::1%4294967296]:80\": the zone \"4294967296\" is"
				     " beyond the number of any interface" },

	{ "unix:", "\"unix:\": the path is empty; write unix:/path" },
	{ "unix:@name", "\"unix:@name\": abstract sockets are not supported; write unix:/path, or"
			" unix:./@name for a file" },
	{ "unix:" PATH_OF_107 "g",
	  "\"unix:/" FIFTY "0123\"...: the path is longer than the 107 bytes that fit a socket's"
	  " address; choose a shorter one" },

	{ "127.0.0.1:80\n",
	  "\"127.0.0.1:80\\x0a\": the control character \"\\x0a\" cannot be part of"
	  " an address; remove it" },
	{ "unix:/a\tb\n",
	  "\"unix:/a\\x09b\\x0a\": the control character \"\\x09\" cannot be part of"
	  " an address; remove it" },
	{ "\x7f", "\"\\x7f\": the control character \"\\x7f\" cannot be part of an address; remove"
		  " it" },
};

/* Each address is read, has its family, and is written again. */
WF_TEST(good_addresses)
{
	for (size_t i = 0; i < LENGTH(good); i++) {
		const char *formatted = good[i].formatted ? good[i].formatted : good[i].text;
		char why[WEFT_ADDRESS_TEXT_MAX] = "unchanged", text[WEFT_ADDRESS_TEXT_MAX];
		struct weft_address address;

		wf_assert_result(weft_address_parse(good[i].text, &address, why), 0);
		ck_assert_str_eq(why, "unchanged");
		ck_assert_int_eq(wf_address_family(&address), good[i].family);
		ck_assert_ptr_eq(weft_address_format(&address, text), text);
		ck_assert_str_eq(text, formatted);
	}
}

/* What format writes, parse reads as the same bytes. */
WF_TEST(format_and_parse_are_inverse)
{
	for (size_t i = 0; i < LENGTH(good); i++) {
		struct weft_address first, second;
		char text[WEFT_ADDRESS_TEXT_MAX];

		memset(&first, 0x55, sizeof first);
		memset(&second, 0xaa, sizeof second);
		wf_assert_result(weft_address_parse(good[i].text, &first, NULL), 0);
		wf_assert_result(
			weft_address_parse(weft_address_format(&first, text), &second, NULL), 0);
		ck_assert_mem_eq(&first, &second, sizeof first);
	}
}

/* Each text that is no address gets its sentence. */
WF_TEST(bad_addresses)
{
	for (size_t i = 0; i < LENGTH(bad); i++) {
		struct weft_address address;
		char why[WEFT_ADDRESS_TEXT_MAX];

		wf_assert_result(weft_address_parse(bad[i].text, &address, why), WEFT_EADDRESS);
		ck_assert_str_eq(why, bad[i].why);
	}
}

/* A refusal leaves the result alone, and needs nowhere to explain itself. */
WF_TEST(refusal_leaves_the_result)
{
	for (size_t i = 0; i < LENGTH(bad); i++) {
		struct weft_address address, before;

		memset(&address, 0x55, sizeof address);
		before = address;
		wf_assert_result(weft_address_parse(bad[i].text, &address, NULL), WEFT_EADDRESS);
		ck_assert_mem_eq(&address, &before, sizeof address);
	}
}

/* Between two given texts, 500 times the same character. */
static void check_sentence(const char *before, char filler, const char *after)
{
	char middle[501] = "", text[600], why[WEFT_ADDRESS_TEXT_MAX];
	struct weft_address address;

	memset(middle, filler, sizeof middle - 1);
	(void)snprintf(text, sizeof text, "%s%s%s", before, middle, after);
	wf_assert_result(weft_address_parse(text, &address, why), WEFT_EADDRESS);
	for (const char *c = why; *c; c++)
		ck_assert(*c >= ' ' && *c <= '~');
}

/* A sentence fits its room and is printable whatever the text: long nonsense at every place. */
WF_TEST(sentences_fit)
{
	static const char *const befores[] = {
		"",	 ":",	   "::",    "1.2.3.4:", "1.2.3.4:0", "[",
		"[::1]", "[::1]:", "[::1%", "unix:",	"unix:@",
	};
	static const char *const afters[] = { "", ":80", "]", "]:80" };
	static const char fillers[] = "x9\xff\n\"";

	for (size_t before = 0; before < LENGTH(befores); before++) {
		for (size_t after = 0; after < LENGTH(afters); after++) {
			for (const char *filler = fillers; *filler; filler++)
				check_sentence(befores[before], *filler, afters[after]);
		}
	}
}

/* The bytes are those of the system's structures, in network order. */
WF_TEST(bytes_are_a_sockaddr)
{
	struct weft_address address;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	wf_assert_result(weft_address_parse("1.2.3.4:258", &address, NULL), 0);
	ck_assert_uint_eq(address.length, sizeof v4);
	memcpy(&v4, wf_address_sockaddr(&address), sizeof v4);
	ck_assert_int_eq(v4.sin_family, AF_INET);
	ck_assert_uint_eq(ntohl(v4.sin_addr.s_addr), 0x01020304);
	ck_assert_uint_eq(ntohs(v4.sin_port), 258);

	wf_assert_result(weft_address_parse("[fe80::1%7]:258", &address, NULL), 0);
	ck_assert_uint_eq(address.length, sizeof v6);
	memcpy(&v6, wf_address_sockaddr(&address), sizeof v6);
	ck_assert_int_eq(v6.sin6_family, AF_INET6);
	ck_assert_uint_eq(v6.sin6_addr.s6_addr[0], 0xfe);
	ck_assert_uint_eq(v6.sin6_addr.s6_addr[15], 1);
	ck_assert_uint_eq(v6.sin6_scope_id, 7);
	ck_assert_uint_eq(ntohs(v6.sin6_port), 258);
}

/* Only a Unix socket's file has a path. */
WF_TEST(path_is_of_files)
{
	struct weft_address address = { 0 };

	ck_assert_ptr_null(wf_address_path(&address));
	wf_assert_result(weft_address_parse("127.0.0.1:80", &address, NULL), 0);
	ck_assert_ptr_null(wf_address_path(&address));
	wf_assert_result(weft_address_parse("unix:" PATH_OF_107, &address, NULL), 0);
	ck_assert_str_eq(wf_address_path(&address), PATH_OF_107);
}

/* Makes a Unix address of `count` bytes of path, zeros too, as the kernel might. */
static struct weft_address unix_address(const char *path, size_t count)
{
	struct weft_address address = { .length = (uint32_t)(sizeof(sa_family_t) + count) };
	sa_family_t family = AF_UNIX;

	memcpy(address.storage.bytes, &family, sizeof family);
	memcpy(address.storage.bytes + sizeof family, path, count);
	return address;
}

/* Addresses that only the kernel makes are text too: unnamed, abstract, odd, longest, unknown. */
WF_TEST(format_of_foreign_addresses)
{
	struct weft_address unnamed = unix_address("", 0), abstract = unix_address("\0a\0b", 4);
	struct weft_address odd = unix_address("/a\nb\033", 6);
	struct weft_address full = unix_address(PATH_OF_107 "g", 109), none = { 0 };
	struct weft_address longest = unix_address("\0" PATH_OF_107 "gh", 110);
	char text[WEFT_ADDRESS_TEXT_MAX];

	ck_assert_str_eq(weft_address_format(&unnamed, text), "unix:");
	ck_assert_str_eq(weft_address_format(&abstract, text), "unix:@a?b");
	ck_assert_str_eq(weft_address_format(&odd, text), "unix:/a?b?");
	ck_assert_str_eq(weft_address_format(&full, text), "unix:" PATH_OF_107 "g");
	ck_assert_str_eq(weft_address_format(&longest, text), "unix:@" PATH_OF_107);
	ck_assert_str_eq(weft_address_format(&none, text), "(no address, family 0)");
	none.length = 16;
	memcpy(none.storage.bytes, &(sa_family_t){ AF_APPLETALK }, sizeof(sa_family_t));
	ck_assert_str_eq(weft_address_format(&none, text), "(no address, family 5)");
	none.length = 4; /* too short for what it claims to be */
	memcpy(none.storage.bytes, &(sa_family_t){ AF_INET }, sizeof(sa_family_t));
	ck_assert_str_eq(weft_address_format(&none, text), "(no address, family 2)");
}

static struct wf_poller kernel = { .system = &wf_kernel };

/* The kernel's own addresses of a socket are found: the port it chose, and the other end. */
WF_TEST(local_and_peer)
{
	struct weft_address wanted, bound, local, peer;
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	wf_assert_result(weft_address_parse("127.0.0.1:0", &wanted, NULL), 0);
	ck_assert_int_eq(bind(listener, wf_address_sockaddr(&wanted), wanted.length), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	wf_assert_result(wf_address_of(&kernel, listener, false, &bound), 0);
	ck_assert_mem_ne(&bound, &wanted, sizeof bound);
	ck_assert_int_eq(connect(client, wf_address_sockaddr(&bound), bound.length), 0);
	wf_assert_result(wf_address_of(&kernel, client, true, &peer), 0);
	ck_assert_mem_eq(&peer, &bound, sizeof bound);
	wf_assert_result(wf_address_of(&kernel, client, false, &local), 0);
	ck_assert_mem_ne(&local, &peer, sizeof bound);
	ck_assert_int_eq(close(listener) | close(client), 0);
}

/* Unix sockets without a name have an address all the same. */
WF_TEST(local_of_a_socketpair)
{
	struct weft_address address;
	char text[WEFT_ADDRESS_TEXT_MAX];
	int fds[2];

	wf_socketpair(fds);
	wf_assert_result(wf_address_of(&kernel, fds[0], true, &address), 0);
	ck_assert_int_eq(wf_address_family(&address), AF_UNIX);
	ck_assert_str_eq(weft_address_format(&address, text), "unix:");
	ck_assert_int_eq(close(fds[0]) | close(fds[1]), 0);
}

/* The kernel's refusals come back as codes. */
WF_TEST(local_and_peer_can_fail)
{
	struct weft_address address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	wf_assert_result(wf_address_of(&kernel, fd, true, &address), -ENOTCONN);
	wf_assert_result(wf_address_of(&kernel, -1, false, &address), -EBADF);
	ck_assert_int_eq(close(fd), 0);
}

struct foreign {
	struct weft_listener *listener;
	struct weft_conn *conn;
};

static int ask_foreign(void *arg)
{
	const struct foreign *foreign = arg;
	struct weft_address address;

	wf_assert_result(weft_listener_address(foreign->listener, &address), -EPERM);
	wf_assert_result(weft_conn_peer(foreign->conn, &address), -EPERM);
	wf_assert_result(weft_shutdown(foreign->conn), -EPERM);
	return 0;
}

static void *ask_from_a_thread(void *foreign)
{
	(void)ask_foreign(foreign); /* of no worker */
	wf_assert_result(weft_run(ask_foreign, foreign, NULL), 0);
	return NULL;
}

/* On another worker, and on none, a listener and a connection tell nothing, and cannot be shut down. */
WF_TASK_TEST(another_worker_is_refused)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct foreign foreign = { .listener = wf_listen_loopback(text) };
	struct weft_address address;
	struct weft_conn *other;
	pthread_t thread;

	wf_assert_result(weft_conn_pair(&foreign.conn, &other), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_from_a_thread, &foreign), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	wf_assert_result(weft_conn_peer(foreign.conn, &address), 0);
	weft_close(foreign.conn);
	weft_close(other);
	weft_listener_close(foreign.listener);
}

WF_MAIN("net/address")
