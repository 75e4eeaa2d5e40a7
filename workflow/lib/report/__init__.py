"""results/report.html: one page on how well the models learned and how far that can be trusted.

`runs` reads the files, `findings` and `answers` find what is worth saying, `charts` draws, and
`page` puts it into the templates of workflow/report.
"""

from workflow.lib.report.page import write_report
from workflow.lib.report.runs import Variant

__all__ = ["Variant", "write_report"]
