/* SPDX-License-Identifier: MIT */
/* A program outside the tree finds what is installed, and runs with it: tests/install/consumer/. */
#include "examples/compile.h"

/*
 * Installs this build into a folder of its own, where it was not configured for, and runs a script
 * of the shell beside it. $lib is where the libraries lie.
 */
static const char prepare[] =
	"set -e\n"
	"command -v pkg-config >/dev/null || exit 77\n"
	"cd \"$1\"\n"
	"DESTDIR=\"$PWD/stage\" cmake --install \"$2\" --prefix /opt/weft >/dev/null\n"
	"cp \"$3\"/tests/install/consumer/* .\n"
	"lib=$(dirname \"$PWD\"/stage/opt/weft/*/libweft.a)\n"
	"export PKG_CONFIG_PATH=\"$lib/pkgconfig\"\n";

static void check_consumer(const char *script)
{
	static struct program program, removal;
	char text[2048], folder[] = "/tmp/weft-install-XXXXXX", expected[64];

	if (access(WEFT_BUILD_DIR "/libweft.so", F_OK) < 0)
		wf_skip("this build has no libweft.so to be installed");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(text, sizeof text, "%s%s", prepare, script);
	(void)snprintf(expected, sizeof expected, "hello from weft %s\n", weft_version());
	program_run(&program, (const char *const[]){ "sh", "-c", text, "sh", folder, WEFT_BUILD_DIR,
						     source_folder(), NULL });
	program_run(&removal, (const char *const[]){ "rm", "-r", folder, NULL });
	ck_assert_int_eq(removal.status, 0);
	if (program.status == 77)
		wf_skip("pkg-config is missing");
	if (program.status != 0 || strcmp(program.output, expected) != 0)
		ck_abort_msg("status %d: %s%s", program.status, program.output, program.errors);
}

/* By pkg-config, with libweft.so: the program does not run where that is not found. */
WF_TEST(pkg_config_shared)
{
	check_consumer(". ./shared.sh\n"
		       "if ./server 2>/dev/null; then echo 'linked with libweft.a'; fi\n"
		       "LD_LIBRARY_PATH=\"$lib\" ./server\n");
}

/* By pkg-config, with libweft.a. */
WF_TEST(pkg_config_static)
{
	check_consumer(". ./static.sh\n"
		       "./server\n");
}

static void check_cmake(const char *target)
{
	char script[256];

	(void)snprintf(
		script, sizeof script,
		"cmake -G Ninja -B build -DCMAKE_PREFIX_PATH=\"$PWD/stage/opt/weft\" >cmake.log\n"
		"cmake --build build --target %s >cmake.log\n"
		"build/%s\n",
		target, target);
	check_consumer(script);
}

/* By find_package, with libweft.so. */
WF_TEST(cmake_shared)
{
	check_cmake("server");
}

/* By find_package, with libweft.a. */
WF_TEST(cmake_static)
{
	check_cmake("server_static");
}

/* By find_package, in C++17. */
WF_TEST(cmake_cxx)
{
	check_cmake("server_cxx");
}

/* libweft.so can be loaded into a program that runs: its thread-local data finds room. */
WF_TEST(dlopen_late)
{
	check_consumer("LD_LIBRARY_PATH=\"$lib\" python3 -c '\n"
		       "import ctypes\n"
		       "weft = ctypes.CDLL(\"libweft.so.0\")\n"
		       "weft.weft_version.restype = ctypes.c_char_p\n"
		       "print(\"hello from weft\", weft.weft_version().decode())'\n");
}

WF_MAIN("install/consumer")
