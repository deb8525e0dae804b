//! Times of the hot paths.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parts::{Amount, PARTS};

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parts");
    group.sample_size(20);
    for (name, prepare) in PARTS {
        let mut part = prepare();
        group.throughput(match part.amount {
            Amount::Bytes(bytes) => Throughput::Bytes(bytes),
            Amount::Things(things) => Throughput::Elements(things),
        });
        group.bench_function(name, |bencher| bencher.iter(|| part.run()));
    }
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
