"""Analysis of rows: intervals, comparisons, figures and the report; needs neither torch nor ray."""
