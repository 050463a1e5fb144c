"""Names that a function in C can have."""

import re
from typing import Any

_WORDS = (
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register|"
    "restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|bool|true|false|"
    "alignas|alignof|constexpr|nullptr|static_assert|thread_local|typeof|asm|class|catch|delete|explicit|export|friend|"
    "mutable|namespace|new|operator|private|protected|public|template|this|throw|try|typename|using|virtual|and|or|not|"
    "xor|main|linux|unix|u?int(_least|_fast)?(8|16|32|64)_t|u?int(ptr|max)_t|size_t|ptrdiff_t|wchar_t"
)
"""Words of C and C++, and names that the headers or compilers define."""
_VARIABLES = "x|y|n|m|i|t|got"
"""Names in the file beside that of the network."""
_MATH = (
    "acosh?|asinh?|atan[2h]?|cbrt|ceil|copysign|cosh?|erfc?|exp2?|expm1|fabs|fdim|floor|fma|fmax|fmin|fmod|frexp|hypot|"
    "ilogb|ldexp|lgamma|l?lrint|l?lround|log10|log1p|log2|logb?|modf|nan|nearbyint|nextafter|nexttoward|pow|remainder|"
    "remquo|rint|round|scalbl?n|sinh?|sqrt|tanh?|tgamma|trunc|gamma|j[01n]|y[01n]"
)
"""Functions of the mathematical libraries, which have twins that end in f and l."""
_LIBRARY = (
    "abort|abs|atexit|ato[fil]|atoll|bsearch|calloc|l?l?div|exit|free|getenv|labs|llabs|malloc|mblen|mbs?towcs?|qsort|"
    "rand|realloc|srand|strto(d|f|ld?|ll|ull?)|system|wcs?tombs?|aligned_alloc|at_quick_exit|quick_exit|"
    "mem(chr|cmp|cpy|move|set)|str(cat|chr|cmp|coll|cpy|cspn|error|len|ncat|ncmp|ncpy|pbrk|rchr|spn|str|tok|xfrm|dup|ndup)|"
    "clearerr|fclose|feof|ferror|fflush|fgetc|fgetpos|fgets|fopen|v?fw?printf|fputc|fputs|fread|freopen|v?fw?scanf|fseek|"
    "fsetpos|ftell|fwrite|getc|getchar|gets|perror|v?w?printf|putc|putchar|puts|remove|rename|rewind|v?w?scanf|setbuf|"
    "setvbuf|v?sn?printf|v?sscanf|tmpfile|tmpnam|ungetc|stdin|stdout|stderr|read|write|open|close|"
    "is(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit)|tolower|toupper|isnan|isinf|isfinite|"
    "signal|raise|setjmp|longjmp|asctime|clock|ctime|difftime|gmtime|localtime|mktime|strftime|time|index|rindex"
)
"""Other functions of the library, by which programs break that define them anew."""


def check_name(name: Any) -> str:
    """The name.

    Raises:
        ValueError: if a function of this name does not go together with C, its library, or the file.
    """
    taken = f"{_WORDS}|{_VARIABLES}|({_MATH})[fl]?|{_LIBRARY}"
    if not isinstance(name, str) or re.fullmatch(taken, name) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            f"expected a name of letters, digits and underscores that C and its library do not use, got {name!r}; pass "
            "name='net'"
        )
    return name
