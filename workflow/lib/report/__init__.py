"""What people read: summary.csv, loss.png, report.html and the console's last lines.

In: scores, losses and responses of the compared variants. Out: tables, plots and one page.
Open `page.py` first; a new plot goes into `plots/`, a new section into workflow/report/*.html.j2.
"""
