"""From scans to ages: finding cases, running the bundle, figures per case."""

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {"CaseFigures": "case_figures", "find_cases": "cases", "read_cases": "cases", "predict": "run"},
)
