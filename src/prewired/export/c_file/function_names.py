"""Names that a C function can have beside the names of C, of its library, and of the file."""

import re
from typing import Any

_RESERVED_WORDS = (
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register|"
    "restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|bool|true|false|"
    "alignas|alignof|constexpr|nullptr|static_assert|thread_local|noreturn|complex|imaginary|typeof|asm|class|catch|delete|explicit|export|friend|"
    "mutable|namespace|new|operator|private|protected|public|template|this|throw|try|typename|using|virtual|and|or|not|"
    "xor|main|linux|unix|u?int(_least|_fast)?(8|16|32|64)_t|u?int(ptr|max)_t|size_t|ptrdiff_t|wchar_t"
)
"""Keywords of C and C++, and names that headers or compilers define."""
_VARIABLES = "x|y|n|m|i|t|got"
"""Names in the file beside that of the network."""
_MATH_FUNCTIONS = (
    "acosh?|asinh?|atan[2h]?|cbrt|ceil|copysign|cosh?|erfc?|exp2?|expm1|fabs|fdim|floor|fma|fmax|fmin|fmod|frexp|hypot|"
    "ilogb|ldexp|lgamma|l?lrint|l?lround|log10|log1p|log2|logb?|modf|nan|nearbyint|nextafter|nexttoward|pow|remainder|"
    "remquo|rint|round|scalbl?n|sinh?|sqrt|tanh?|tgamma|trunc|gamma|j[01n]|y[01n]"
)
"""Functions of the mathematical library, of which variants end in f and l."""
_LIBRARY_FUNCTIONS = (
    "abort|abs|atexit|ato[fil]|atoll|bsearch|calloc|l?l?div|exit|free|getenv|labs|llabs|malloc|mblen|mbs?towcs?|qsort|"
    "rand|realloc|srand|strto(d|f|ld?|ll|ull?)|system|wcs?tombs?|aligned_alloc|at_quick_exit|quick_exit|"
    "mem(chr|cmp|cpy|move|set)|str(cat|chr|cmp|coll|cpy|cspn|error|len|ncat|ncmp|ncpy|pbrk|rchr|spn|str|tok|xfrm|dup|ndup)|"
    "clearerr|fclose|feof|ferror|fflush|fgetc|fgetpos|fgets|fopen|v?fw?printf|fputc|fputs|fread|freopen|v?fw?scanf|fseek|"
    "fsetpos|ftell|fwrite|getc|getchar|gets|perror|v?w?printf|putc|putchar|puts|remove|rename|rewind|v?w?scanf|setbuf|"
    "setvbuf|v?sn?printf|v?sscanf|tmpfile|tmpnam|ungetc|stdin|stdout|stderr|read|write|open|close|"
    "is(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit)|tolower|toupper|isnan|isinf|isfinite|"
    "signal|raise|setjmp|longjmp|asctime|clock|ctime|difftime|gmtime|localtime|mktime|strftime|time|index|rindex"
)
"""Other functions of the C library; a program that defines one of them again breaks."""
_MACROS = (
    "[A-Z][A-Z0-9_]*|[a-z][A-Za-z0-9_]*_t|errno|assert|offsetof|signbit|fpclassify|isnormal|isgreater(equal)?|"
    "isless(equal|greater)?|isunordered|va_(list|start|end|arg|copy)|environ|math_errhandling|tm|timespec|timeval|"
    "jmp_buf|u(int|short|long|char)|alloca|strdupa?|bcmp|bcopy|bzero|ffs|random|srandom|signgam"
)
"""Macros and types: names in capitals, such as NULL and EOF, names that end in _t, and others that headers define."""
_SYSTEM_FUNCTIONS = (
    "fork|vfork|exec[lv]p?e?|fexecve|wait|waitpid|kill|pipe|dup[23]?|link|unlink|symlink|access|chdir|chmod|chown|stat|fstat|"
    "lstat|mkdir|rmdir|sleep|usleep|nanosleep|alarm|pause|getpid|getppid|getuid|select|poll|socket|bind|listen|connect|"
    "accept|send|recv|shutdown|mmap|munmap|ioctl|fcntl|lseek|sync|fsync|nice|times|getopt|optarg|optind|opterr|optopt|"
    "isatty|getline|getdelim|fileno|popen|pclose|setenv|unsetenv|putenv|crypt|swab|truncate|daemon|acct|brk|sbrk|reboot"
)
"""Functions of POSIX systems; the library of C itself calls some of them."""


def is_free(name: Any) -> bool:
    """Whether a C function can have a name, and C, its library, headers and the file do not use it."""
    reserved = (
        f"{_RESERVED_WORDS}|{_VARIABLES}|({_MATH_FUNCTIONS})[fl]?|{_LIBRARY_FUNCTIONS}|{_MACROS}|{_SYSTEM_FUNCTIONS}"
    )
    return (
        isinstance(name, str)
        and not re.fullmatch(reserved, name)
        and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None
    )


def check_name(name: Any) -> str:
    """Return the name if a C function can have it.

    Raises:
        ValueError: if the name is no C identifier, or C, its library, its headers or the file use it.
    """
    if not is_free(name):
        raise ValueError(
            f"expected a name of letters, digits and underscores that C and its library do not use, got {name!r}; pass "
            "name='net'"
        )
    return name


def derive_name(stem: str) -> str:
    """Derive the name of a C function from the name of a file.

    Example:
        >>> derive_name("classify"), derive_name("n"), derive_name("my-net.v2"), derive_name("NULL"), derive_name("1")
        ('classify', 'net_n', 'my_net_v2', 'net_NULL', 'net_1')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem)
    return name if is_free(name) else f"net_{name}"
