"""`ffd_score` as a user meets it: files from elsewhere, good and bad, and the small files whose answers are known."""
import json
import os
import subprocess
import sys
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.errors import BadFile
from ffd_repro.measures.conformance import write_kit
from ffd_repro.measures.score_files import score_file, score_text

def written(folder, text, name='predictions.csv'):
    (folder/name).write_text(text)
    return folder/name

def value(report, metric='AUC', level='video'):
    return next(r for r in report['scores'] if (r['metric'], r['level']) == (metric, level))

@pytest.fixture(scope='module')
def kit(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kit')
    write_kit(folder)
    return folder

def test_every_small_file_gets_its_known_answers(kit):
    answers = json.loads((kit/'expected.json').read_text())
    assert len(answers) > 20
    asked = {(a['case'], a['policy']) for a in answers}
    reports = {(c, p): score_file(kit/f'{c}.csv', kit/f'{c}.truth.csv' if c == 'lost-batch' else '', p) for c, p in asked}
    for a in answers:
        found = value(reports[a['case'], a['policy']], a['metric'], a['level'])['value']
        assert np.isnan(found) if a['value'] is None else found == pytest.approx(a['value'], abs=1e-12), a

def test_the_order_of_rows_says_nothing(kit, tmp_path):
    for name in ('constant', 'ties', 'mixed-order'):
        table = pd.read_csv(kit/f'{name}.csv')
        for order in ('score', 'label'):
            table.sort_values(order).iloc[::-1].to_csv(tmp_path/'sorted.csv', index=False)
            got, want = (score_file(f)['scores'] for f in (tmp_path/'sorted.csv', kit/f'{name}.csv'))
            assert [r['value'] for r in got] == pytest.approx([r['value'] for r in want], nan_ok=True)

def test_a_perfect_score_of_eight_is_not_known_to_be_perfect(kit):
    found = value(score_file(kit/'perfect.csv'))
    assert found['value'] == 1 and found['hi'] == 1 and .5 < found['lo'] < .75

def test_people_make_the_interval_wider_than_their_videos(tmp_path):
    g = np.random.default_rng(7)
    rows = [(f'{p}-{k}', p, p % 2, np.clip(.5 + .1*(p % 2) + g.normal(0, .2) + 0*k, 0, 1)) for p in range(12) for k in range(1)]
    rows = [(f'{p}-{k}', p, y, s) for _, p, y, s in rows for k in range(10)] # ten clips of everybody that score alike
    table = pd.DataFrame(rows, columns=['video', 'person', 'label', 'score'])
    table.to_csv(tmp_path/'people.csv', index=False)
    table.drop(columns='person').to_csv(tmp_path/'videos.csv', index=False)
    people, videos = (value(score_file(tmp_path/f'{n}.csv')) for n in ('people', 'videos'))
    assert (people['over'], people['units'], videos['over'], videos['units']) == ('people', 12, 'videos', 120)
    assert people['value'] == videos['value'] and people['hi'] - people['lo'] > 2*(videos['hi'] - videos['lo'])

@pytest.mark.parametrize('text, words', [
    ('', 'no table'), ('video,score,label\n', 'no rows'), ('a.mp4,.5,1\nb.mp4,.4,0\n', 'no column for the video'),
    ('video,score\na,.5\nb,.4\n', 'no labels'), ('video,label\na,1\n', 'no column for the score'),
    ('video,score,label\na,.5,1\na,.6,1\n', 'line 3 is line 2 again'), ('video,score,label\na,.5,1\n,.6,0\n', 'line 3'),
    ('video,score,label\na,0.5x,1\nb,.1,0\n', "'0.5x' is no number"), ('video,score,label\na,inf,1\nb,.1,0\n', 'no finite number'),
    ('video,score,label\na,97,1\nb,12,0\n', 'per cent'), ('video,score,label\na,-4.1,1\nb,2.2,0\n', 'logits'),
    ('video,score,label\na,.5,7\nb,.1,0\n', 'neither real nor fake'), ('video,prob,pred,label\na,.5,1,1\n', 'Several columns'),
    ('video,frame,score,label\na,1,.5,1\na,2,.5,0\n', 'labelled both real and fake'),
    ('video,frame,score,label\na,1,.5,1\na,,.5,1\n', 'names no frame'), ('video,score,score,label\na,.5,.6,1\n', 'Two columns'),
    ('video,score,label\na,,1\nb,nan,0\n', 'No score is there at all')])
def test_a_bad_file_is_refused_with_what_is_wrong_and_what_to_do(tmp_path, text, words):
    with pytest.raises(BadFile, match=words) as error: score_file(written(tmp_path, text))
    assert error.value.fix

def test_labels_and_scores_the_wrong_way_round_are_said_and_can_be_turned(tmp_path):
    rows = ''.join(f'{i},{i/40:.3f},{int(i < 20)}\n' for i in range(40))
    file = written(tmp_path, 'video,score,label\n' + rows)
    report = score_file(file)
    assert value(report)['value'] == 0 and any('--real-score' in n and '--fake 0' in n for n in report['notes'])
    assert [value(score_file(file, **how))['value'] for how in (dict(real_score=True), dict(fake='0'))] == [1, 1]

def test_what_is_not_used_and_not_named_is_said(tmp_path):
    truth = written(tmp_path, 'video,label\n' + ''.join(f'{i},{i % 2}\n' for i in range(20)), 'truth.csv')
    report = score_file(written(tmp_path, 'video,score,mood\n' + ''.join(f'{i},.{i:02d},glad\n' for i in range(2, 22))), truth)
    text = score_text(report)
    assert 'not used: mood' in text and 'does not name them: 2 predictions' in text and '18 of 20' in text
    assert report['exit'] == 1 and report['coverage'] == {'predictions': .9} and 'as-chance' in text

def test_several_test_sets_stay_apart(tmp_path):
    rows = [(t, f'v{i}', i % 2, s) for t, up in (('one', 1), ('two', -1)) for i in range(6) for s in [.5 + up*(.3 if i % 2 else -.3)]]
    pd.DataFrame(rows, columns=['dataset', 'video', 'label', 'score']).to_csv(tmp_path/'both.csv', index=False)
    assert {r['test']: r['value'] for r in score_file(tmp_path/'both.csv')['scores'] if r['metric'] == 'AUC'} == dict(one=1, two=0)

def test_logits_that_are_far_apart_stay_in_order(tmp_path):
    file = written(tmp_path, 'video,logit,label\na,-50,0\nb,38,0\nc,45,1\nd,60,1\n')
    report = score_file(file, logits=True)
    assert value(report)['value'] < 1 and any('same probability' in n for n in report['notes']) # a double has no room for them

def test_the_command(kit, tmp_path):
    script = written(tmp_path, 'import sys\nfrom ffd_repro.measures.score_files import ffd_score\nsys.exit(ffd_score())\n', 'ffd_score.py')
    ask = lambda *words: subprocess.run([sys.executable, script, *map(str, words)], capture_output=True, text=True, env=os.environ)
    done = ask(kit/'missing.csv', '--json', tmp_path/'report.json')
    assert done.returncode == 1 and '7 of 9' in done.stdout and 'as-real 0.5500' in done.stdout, done.stderr
    assert json.loads((tmp_path/'report.json').read_text())['coverage'] == {'missing': 7/9}
    bad = ask(tmp_path/'nowhere.csv')
    assert bad.returncode == 2 and 'no such file' in bad.stderr and 'Traceback' not in bad.stderr and 'fix:' in bad.stderr
    assert Path(kit/'expected.json').is_file()
