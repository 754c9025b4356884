"""Tables, figures and pages. Reads what others computed, computes nothing. Figures need the extra ``[plot]``."""

from equiangular.report.comparison import comparison_page, write_page
from equiangular.report.figure import comparison_figure, figure_svg, save_figure
from equiangular.report.table import abilities_table, comparison_table, format_cell
from equiangular.report.together import page_of_results, page_of_runs, read_results
from equiangular.report.theory import theory_figures
from equiangular.report.theory_page import write_theory_page

__all__ = [
    "abilities_table", "comparison_figure", "comparison_page", "comparison_table", "figure_svg", "format_cell",
    "page_of_results", "page_of_runs", "read_results", "save_figure", "theory_figures", "write_page",
    "write_theory_page",
]  # fmt: skip
