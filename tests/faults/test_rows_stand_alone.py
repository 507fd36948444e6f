"""What a sweep wrote of a draw is what that draw says when it runs alone; all other tests here compare with it."""


def test_each_row_of_the_uninterrupted_run_stands_alone(small):
    small.assert_rows_stand_alone(small.whole)
