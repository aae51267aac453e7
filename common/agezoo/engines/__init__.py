"""What joins MONAI's engines to datalists, the prediction table, resumable training and tracking."""

from agezoo.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "AsHandler": "as_handler",
        "CohortDataset": "cohort_dataset",
        "EvaluationReport": "evaluation_report",
        "EpochSeeding": "epoch_seeding",
        "PredictionWriter": "prediction_writer",
        "ProgressBar": "progress",
        "TrackingRecord": "tracking_record",
        "TrainingFigure": "training_figure",
        "TrainingCheckpoint": "training_checkpoint",
        "config_part": "config_parts",
        "BinCollapse": "bin_collapse",
        "PlateauSchedule": "plateau_schedule",
        "EarlyStopping": "early_stopping",
        "GradientAccumulation": "gradient_accumulation",
    },
)
