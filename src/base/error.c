/* SPDX-License-Identifier: MIT */
/*
 * The names and sentences of weft/error.h: weft's own codes, and the kernel's, which C libraries
 * spell in different ways and languages, or have no names for.
 */
#include <weft/error.h>

#include <errno.h>
#include <stddef.h>

struct error {
	int code;
	const char *name;
	const char *sentence;
};

static const struct error own_errors[] = {
	{ WEFT_EDEADLINE, "WEFT_EDEADLINE", "The deadline has passed" },
	{ WEFT_ESTOPPING, "WEFT_ESTOPPING", "The scope was asked to stop" },
	{ WEFT_ECLOSED, "WEFT_ECLOSED", "The object was closed" },
	{ WEFT_EEOF, "WEFT_EEOF", "The input ended too early" },
	{ WEFT_EADDRESS, "WEFT_EADDRESS",
	  "The text is not an address like 127.0.0.1:80, [::1]:80 or unix:/path" },
	{ WEFT_EOPTION, "WEFT_EOPTION",
	  "An option is not valid: stack_bytes, the engine (WEFT_ENGINE: epoll, uring), or the "
	  "guard (WEFT_GUARD: light, mprotect, canary)" },
	{ WEFT_EENGINE, "WEFT_EENGINE",
	  "The engine that was asked for does not work here: the kernel or a sandbox refuses it; "
	  "use WEFT_ENGINE=epoll, or name none" },
	{ WEFT_ESIMULATED, "WEFT_ESIMULATED", "A descriptor of the real world in the simulator" },
};

#define KERNEL(number, sentence) [number] = { -(number), #number, sentence }

/* By number; those that are none have no name. EWOULDBLOCK and ENOTSUP are other names of EAGAIN and
 * EOPNOTSUPP. */
static const struct error kernel_errors[] = {
	KERNEL(EPERM, "Operation not permitted"),
	KERNEL(ENOENT, "No such file or directory"),
	KERNEL(ESRCH, "No such process"),
	KERNEL(EINTR, "Interrupted system call"),
	KERNEL(EIO, "Input/output error"),
	KERNEL(ENXIO, "No such device or address"),
	KERNEL(E2BIG, "Argument list too long"),
	KERNEL(ENOEXEC, "Exec format error"),
	KERNEL(EBADF, "Bad file descriptor"),
	KERNEL(ECHILD, "No child processes"),
	KERNEL(EAGAIN, "Resource temporarily unavailable"),
	KERNEL(ENOMEM, "Cannot allocate memory"),
	KERNEL(EACCES, "Permission denied"),
	KERNEL(EFAULT, "Bad address"),
	KERNEL(ENOTBLK, "Block device required"),
	KERNEL(EBUSY, "Device or resource busy"),
	KERNEL(EEXIST, "File exists"),
	KERNEL(EXDEV, "Invalid cross-device link"),
	KERNEL(ENODEV, "No such device"),
	KERNEL(ENOTDIR, "Not a directory"),
	KERNEL(EISDIR, "Is a directory"),
	KERNEL(EINVAL, "Invalid argument"),
	KERNEL(ENFILE, "Too many open files in system"),
	KERNEL(EMFILE, "Too many open files"),
	KERNEL(ENOTTY, "Inappropriate ioctl for device"),
	KERNEL(ETXTBSY, "Text file busy"),
	KERNEL(EFBIG, "File too large"),
	KERNEL(ENOSPC, "No space left on device"),
	KERNEL(ESPIPE, "Illegal seek"),
	KERNEL(EROFS, "Read-only file system"),
	KERNEL(EMLINK, "Too many links"),
	KERNEL(EPIPE, "Broken pipe"),
	KERNEL(EDOM, "Numerical argument out of domain"),
	KERNEL(ERANGE, "Numerical result out of range"),
	KERNEL(EDEADLK, "Resource deadlock avoided"),
	KERNEL(ENAMETOOLONG, "File name too long"),
	KERNEL(ENOLCK, "No locks available"),
	KERNEL(ENOSYS, "Function not implemented"),
	KERNEL(ENOTEMPTY, "Directory not empty"),
	KERNEL(ELOOP, "Too many levels of symbolic links"),
	KERNEL(ENOMSG, "No message of desired type"),
	KERNEL(EIDRM, "Identifier removed"),
	KERNEL(ECHRNG, "Channel number out of range"),
	KERNEL(EL2NSYNC, "Level 2 not synchronized"),
	KERNEL(EL3HLT, "Level 3 halted"),
	KERNEL(EL3RST, "Level 3 reset"),
	KERNEL(ELNRNG, "Link number out of range"),
	KERNEL(EUNATCH, "Protocol driver not attached"),
	KERNEL(ENOCSI, "No CSI structure available"),
	KERNEL(EL2HLT, "Level 2 halted"),
	KERNEL(EBADE, "Invalid exchange"),
	KERNEL(EBADR, "Invalid request descriptor"),
	KERNEL(EXFULL, "Exchange full"),
	KERNEL(ENOANO, "No anode"),
	KERNEL(EBADRQC, "Invalid request code"),
	KERNEL(EBADSLT, "Invalid slot"),
	KERNEL(EBFONT, "Bad font file format"),
	KERNEL(ENOSTR, "Device not a stream"),
	KERNEL(ENODATA, "No data available"),
	KERNEL(ETIME, "Timer expired"),
	KERNEL(ENOSR, "Out of streams resources"),
	KERNEL(ENONET, "Machine is not on the network"),
	KERNEL(ENOPKG, "Package not installed"),
	KERNEL(EREMOTE, "Object is remote"),
	KERNEL(ENOLINK, "Link has been severed"),
	KERNEL(EADV, "Advertise error"),
	KERNEL(ESRMNT, "Srmount error"),
	KERNEL(ECOMM, "Communication error on send"),
	KERNEL(EPROTO, "Protocol error"),
	KERNEL(EMULTIHOP, "Multihop attempted"),
	KERNEL(EDOTDOT, "RFS specific error"),
	KERNEL(EBADMSG, "Bad message"),
	KERNEL(EOVERFLOW, "Value too large for defined data type"),
	KERNEL(ENOTUNIQ, "Name not unique on network"),
	KERNEL(EBADFD, "File descriptor in bad state"),
	KERNEL(EREMCHG, "Remote address changed"),
	KERNEL(ELIBACC, "Can not access a needed shared library"),
	KERNEL(ELIBBAD, "Accessing a corrupted shared library"),
	KERNEL(ELIBSCN, ".lib section in a.out corrupted"),
	KERNEL(ELIBMAX, "Attempting to link in too many shared libraries"),
	KERNEL(ELIBEXEC, "Cannot exec a shared library directly"),
	KERNEL(EILSEQ, "Invalid or incomplete multibyte or wide character"),
	KERNEL(ERESTART, "Interrupted system call should be restarted"),
	KERNEL(ESTRPIPE, "Streams pipe error"),
	KERNEL(EUSERS, "Too many users"),
	KERNEL(ENOTSOCK, "Socket operation on non-socket"),
	KERNEL(EDESTADDRREQ, "Destination address required"),
	KERNEL(EMSGSIZE, "Message too long"),
	KERNEL(EPROTOTYPE, "Protocol wrong type for socket"),
	KERNEL(ENOPROTOOPT, "Protocol not available"),
	KERNEL(EPROTONOSUPPORT, "Protocol not supported"),
	KERNEL(ESOCKTNOSUPPORT, "Socket type not supported"),
	KERNEL(EOPNOTSUPP, "Operation not supported"),
	KERNEL(EPFNOSUPPORT, "Protocol family not supported"),
	KERNEL(EAFNOSUPPORT, "Address family not supported by protocol"),
	KERNEL(EADDRINUSE, "Address already in use"),
	KERNEL(EADDRNOTAVAIL, "Cannot assign requested address"),
	KERNEL(ENETDOWN, "Network is down"),
	KERNEL(ENETUNREACH, "Network is unreachable"),
	KERNEL(ENETRESET, "Network dropped connection on reset"),
	KERNEL(ECONNABORTED, "Software caused connection abort"),
	KERNEL(ECONNRESET, "Connection reset by peer"),
	KERNEL(ENOBUFS, "No buffer space available"),
	KERNEL(EISCONN, "Transport endpoint is already connected"),
	KERNEL(ENOTCONN, "Transport endpoint is not connected"),
	KERNEL(ESHUTDOWN, "Cannot send after transport endpoint shutdown"),
	KERNEL(ETOOMANYREFS, "Too many references: cannot splice"),
	KERNEL(ETIMEDOUT, "Connection timed out"),
	KERNEL(ECONNREFUSED, "Connection refused"),
	KERNEL(EHOSTDOWN, "Host is down"),
	KERNEL(EHOSTUNREACH, "No route to host"),
	KERNEL(EALREADY, "Operation already in progress"),
	KERNEL(EINPROGRESS, "Operation now in progress"),
	KERNEL(ESTALE, "Stale file handle"),
	KERNEL(EUCLEAN, "Structure needs cleaning"),
	KERNEL(ENOTNAM, "Not a XENIX named type file"),
	KERNEL(ENAVAIL, "No XENIX semaphores available"),
	KERNEL(EISNAM, "Is a named type file"),
	KERNEL(EREMOTEIO, "Remote I/O error"),
	KERNEL(EDQUOT, "Disk quota exceeded"),
	KERNEL(ENOMEDIUM, "No medium found"),
	KERNEL(EMEDIUMTYPE, "Wrong medium type"),
	KERNEL(ECANCELED, "Operation canceled"),
	KERNEL(ENOKEY, "Required key not available"),
	KERNEL(EKEYEXPIRED, "Key has expired"),
	KERNEL(EKEYREVOKED, "Key has been revoked"),
	KERNEL(EKEYREJECTED, "Key was rejected by service"),
	KERNEL(EOWNERDEAD, "Owner died"),
	KERNEL(ENOTRECOVERABLE, "State not recoverable"),
	KERNEL(ERFKILL, "Operation not possible due to RF-kill"),
	KERNEL(EHWPOISON, "Memory page has hardware error"),
};

enum { KERNEL_ERRORS = sizeof kernel_errors / sizeof *kernel_errors };

static const struct error success = { 0, "OK", "Success" };
static const struct error unknown = { 0, "UNKNOWN", "Unknown error" };

static const struct error *error_find(int code)
{
	if (code >= 0)
		return &success;
	if (code > -KERNEL_ERRORS && kernel_errors[-code].name)
		return &kernel_errors[-code];
	for (size_t i = 0; i < sizeof own_errors / sizeof *own_errors; i++)
		if (own_errors[i].code == code)
			return &own_errors[i];
	return &unknown;
}

const char *weft_error_name(int code)
{
	return error_find(code)->name;
}

const char *weft_strerror(int code)
{
	return error_find(code)->sentence;
}
