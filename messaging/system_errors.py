"""What an error of the system or of OpenSSL is called before people."""

import re
import ssl

_IN_C = re.compile(r"^\[[^\]]*\]|\(?_ssl\.c:\d+\)?:?")


def words_of(error: BaseException) -> str:
    """Its words without what only programmers read: number, name of a class, file in C, quotes of a representation."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None)
        return reason.replace("_", " ").lower() if reason else _IN_C.sub("", error.strerror or str(error)).strip()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if isinstance(error.filename, str) else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return str(error) or type(error).__name__
