"""What the page says beside its figures; sentences with {fields} are filled in by the sections."""

CURVES = (
    "Each point is the mean over report draws: fresh random choices of the labelled windows, which no search saw. "
    "Bands are 95 % intervals over draws (pointwise); at 0 shots no labels are drawn, so these are over training "
    "seeds. Dotted level lines need no labels at all. "
    "Click a name to hide it, double-click to see it alone."
)
CURVES_CAPTION = "The axis is straight near zero and logarithmic beyond, so that 0 labels has a place."

LEADERBOARD = (
    "Ranked by {title}: {meaning} The reference rows (random, always_alarm, moving_variance, pca) stand in every "
    "table: a score means something only beside them. Detectors that need no labels are repeated at every number "
    "of shots."
)
LEADERBOARD_CAPTION = (
    "Dots are means over report draws, bars 95 % intervals over draws (at 0 shots: over training seeds); no bar where "
    "none can be given."
)
GENERAL = (
    "The column 'over labels and faults' resamples draws and faults together (crossed bootstrap): where the mean "
    "would lie on other faults of this kind. The narrower interval over draws holds for the faults of this test part "
    "only."
)

ONE_FACTOR = (
    "Detectors, and sources, of the sweep file that differ from their base in exactly one setting. Variants of a "
    "detector meet the draws of their base and are compared draw by draw (paired t); sources have draws of their own "
    "(Welch's t). p-values are corrected by Holm over all rows with labels, also those that could not be tested. A "
    "setting that is not shown to matter may still matter: the intervals say how much."
)
ONE_FACTOR_CAPTION = (
    "Bars are 95 % intervals. Filled: separated from zero after Holm; open: not; cross: no claim possible."
)

COMPARED = (
    "Both detectors of a pair are scored on the same draws, and the difference is taken draw by draw. p-values are "
    "paired t, corrected by Holm over all {tests} planned pairs, also those that could not be tested; the exact "
    "sign-flip p stands beside. Where both have 0 shots, draws are training seeds: no test. The verdict on top uses a "
    "second declared family: for each MOMENT detector and number of shots, whether it beats every ordinary detector, "
    "by the largest of its p-values. The matrix has a row for each MOMENT detector and number of shots, and a column "
    "for each ordinary one: the mean difference, and what holds of it after Holm."
)
COMPARED_CAPTION = (
    "Bars are 95 % paired-t intervals. Filled: separated from zero after Holm over all pairs; open: not; "
    "cross: no claim possible."
)
ALERTS = (
    "Faults caught and false alarms a day at the thresholds as deployed; alerts alarm as they did. Means over report "
    "draws, differences draw by draw (detector minus alerts) with 95 % intervals over draws. A detector beats the "
    "alerts if it is no worse in both and significantly better in one: paired t, or the exact sign-flip test where the "
    "difference is the same on every draw, with Holm over all {tests} planned rows with labels, for each of the two "
    "questions. "
    "All of it holds for the faults of this test part."
)
SEPARATION = (
    "The table of what would separate a MOMENT detector from the best ordinary one assumes that the difference seen is "
    "the true one, and asks for an 80 % chance of significance at 0.05 over the number of pairs. Draws are judged by "
    "the metric; test faults by how many each catches at its threshold, with as many draws as now."
)
NO_PAIR = "there is no pair of a MOMENT detector and an ordinary one."

UNSEEN = (
    "One kind of fault at a time was left out of everything that a detector may learn from (shots, reference, "
    "validation); each detector is then judged on faults of that kind and fault-free time, and compared draw by draw "
    "with itself trained with the kind left in. Every other number of this page is of the unseen folds. Intervals are "
    "95 % over draws (paired t), not corrected for their number."
)
UNSEEN_CAPTION = (
    "Upper numbers: the kind was never seen; in brackets: it was. Colour: the difference. An empty cell lacks draws."
)

NEEDS = (
    "Labelled windows, and faults behind them, that the mean score over draws needs to reach a target, validation "
    "labels included: the curve is made non-decreasing and read between the numbers of shots tried, never beyond "
    "them; the interval resamples whole curves. Faults are the mean over draws. 'not reached' is an answer."
)
BREAK_EVEN = (
    "Up to how many shots a MOMENT detector is ahead of an ordinary one on the same draws, taking a head start to "
    "shrink with labels; where it grows instead there is no such number. 'never ahead' and 'still ahead' are answers."
)

FAULTS = (
    "A fault is caught if any of its windows scores at or above the deployed threshold. A share of one or two faults "
    "is an anecdote, not a rate: the number of faults stands beside each type."
)

OVER_TYPES = (
    "The last table averages the share of windows that alarm over fault types, inside each draw: as mean, and as "
    "interquartile mean (the middle half of the types), which no impossible or trivial type moves. Intervals are 95 % "
    "over draws (logit-t)."
)

DELAY = (
    "Time from a fault's first scored window to its first alarm at the deployed threshold, all faults of all report "
    "draws together. A fault without an alarm is censored at its end and stays uncaught: the median is the time within "
    "which half of all faults are caught, and there is none where fewer are. Steps are scored windows. No interval is "
    "given here: read the delay of the leaderboard, and how many faults there are."
)
DELAY_CAPTION = (
    "A line ends at the share of faults that is ever caught. The grey line falls where faults end: whatever is not "
    "caught by then is missed. Read beside false alarms: what always alarms catches everything at once."
)

TIMELINE = (
    "Faults are shaded and named. Lines are scores (each on its own scale), triangles alarms inside a fault, crosses "
    "false alarms, dotted lines thresholds. One draw of each detector: the first of the report draws, not the best."
)
WORST = (
    "The tables name what to look at first: the worst missed faults and false alarms of these draws, at most three of "
    "each a detector. A missed fault is the worse the larger the share of fault-free windows that score above all of "
    "its own; a false alarm, the larger the share of faulty windows that score below its highest."
)
TIMELINE_CAPTION = "Long test parts show the highest score of each block."

OPTIMISM = (
    "Optimism is what the winner's own search score promises beyond what fresh draws on the test part confirm: luck "
    "of the draw and the step from validation to test together. 'By luck alone' is what it would be if all "
    "configurations were equal: the expected lead of the best of as many, for the spread of their scores over draws."
)

IMPORTANCE = (
    "Importance (PED-ANOVA, by Optuna) is how well a parameter tells the best quarter of the configurations from all "
    "of them. The shares of a search add up to 1 even where no parameter matters: compare each with how often it gets "
    "at least as much when the scores are shuffled among the configurations. None of it is for claims."
)
NO_IMPORTANCE = "Which parameter mattered is not said: {why}, or equal scores, in every search of this page."
PARALLEL_CAPTION = (
    "One line a configuration; the last axis is its mean on selection draws, which also colours it: blue better, "
    "orange worse. Dashed lines with stars ran on the report draws. Not for claims."
)
SEARCH_CAPTION = (
    "Stars ran on the report draws. Not for claims. Of more than 300 configurations, 300 from worst to best are drawn."
)

COST = (
    "Seconds are medians over report draws; hours add up fit, threshold and score of all draws that ended, selection "
    "included. 'Without the cache' counts what cached results took when they were computed: what the cell costs "
    "whoever comes first. GPU hours are the same seconds times the share of a card that a draw had: a lower bound, "
    "unless trials_per_gpu is auto, where each draw counts as holding a whole card. What failed draws and "
    "draws out of time took, and time that a card was held between, is not in the rows. Peak memory is that "
    "of the worker process."
)

GAPS = (
    "Every planned draw without a score, or without the metric of this page, is named here. No claim rests on a cell "
    "with gaps: the draws that failed may be the hard ones."
)
NO_GAPS = "Every planned draw has a score."

SHOTS = (
    "A shot is one labelled window; the faults behind the shots are counted too, because windows of one fault "
    "resemble each other. Labels spent on choosing a configuration (validation) count as labels."
)
STATISTICS = (
    "The unit of repetition is the draw. Levels: mean with the logit-t interval (t on the logit scale); differences: "
    "paired t with the exact sign-flip test beside; Holm over the declared family; below 6 draws nothing is called "
    "significant. Where all draws give the same score there is no interval. Draws that take more than half of the "
    "support pool are too alike for an interval."
)
AUDIT = (
    "In every trial an audit looked at the rows that its windows cover: no row, and no fault, is in two of the parts "
    "that a detector learns from, is chosen by and is tested on. A trial that fails it has no score."
)
THRESHOLDS = (
    "Thresholds are chosen without test scores or test labels: {rules}. Metrics that adjust points are not used."
)
REBUILD = "Rebuild this page from the rows: python -m analysis.report RUN"
