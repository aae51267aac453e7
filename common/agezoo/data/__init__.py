"""Images and tables: reading scans, subject facts, datalists and the prediction table.

Nothing is imported until a name is used, so that the package stays light.
"""

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "build_datalist": "datalist_build",
        "check_datalist": "datalist_check",
        "datalist_hash": "datalist",
        "datalist_rows": "datalist",
        "ensure_phantom_datalist": "phantom_datalist",
        "load_datalist": "datalist",
        "read_predictions": "prediction_table",
        "read_radiograph": "radiograph",
        "read_volume": "read",
        "transfer_split": "transfer",
    },
)
