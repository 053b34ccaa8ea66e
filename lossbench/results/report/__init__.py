"""The report: one HTML file that needs nothing else, from the folder of the runs.

    contents.py  what it says: comparisons, curves, tables, commands; no HTML
    charts.py    the charts as SVG text
    page.py      the page; style.css and script.js are put into it

``figures.py`` beside this package draws the same charts with matplotlib, for papers.
"""
