"""What the gates of a model do, as a web page in one file."""

from keras_dynamicgate.reports.make_report import html_report

__all__ = ["html_report"]
