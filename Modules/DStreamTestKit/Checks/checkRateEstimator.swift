internal import DStreamCore
public import JobGeneration

/// Checks that an estimator keeps the promises of `RateEstimator`.
///
/// - Parameter make: makes one that knows of no batch yet; called several times.
/// - Throws: ``CheckFailure`` saying which promise is broken.
public func checkRateEstimator<Estimator: RateEstimator>(_ make: () throws -> Estimator) throws {
    for seed in 0..<200 {
        var random = SeededRandom(seed)
        try checkRates(try make(), &random)
        try checkCopies(try make(), &random)
        try checkIgnoring(try make(), &random)
    }
}

/// A completed batch.
private struct CompletedBatch {
    var time: BatchTime
    var elements: Int
    var processing: Duration
    let scheduling: Duration

    /// One after another, also with numbers that hardly come.
    init(after last: BatchTime, _ random: inout SeededRandom) {
        let magnitude = random.int(0...9)
        time = last + .milliseconds(random.int(1...(magnitude == 9 ? 100_000_000 : 3000)))
        elements =
            magnitude == 0
            ? 0 : magnitude == 9 ? random.int(0...(1 << 50)) : random.int(0...1_000_000)
        processing = .microseconds(
            magnitude == 1 ? 0 : random.int(0...(magnitude == 8 ? 1 << 45 : 4_000_000)))
        scheduling = .microseconds(random.int(0...(magnitude == 7 ? 1 << 45 : 2_000_000)))
    }
}

extension RateEstimator {
    fileprivate mutating func compute(_ batch: CompletedBatch) -> Double? {
        compute(
            time: batch.time, elements: batch.elements, processingDelay: batch.processing,
            schedulingDelay: batch.scheduling)
    }
}

private func checkRates<Estimator: RateEstimator>(
    _ estimator: Estimator, _ random: inout SeededRandom
) throws {
    var estimator = estimator
    var time = BatchTime.zero
    for _ in 0..<50 {
        let batch = CompletedBatch(after: time, &random)
        time = batch.time
        guard let rate = estimator.compute(batch) else { continue }
        try require(
            rate.isFinite && rate > 0, "a rate is finite and above zero: \(rate) after \(batch)")
    }
}

private func checkIgnoring<Estimator: RateEstimator>(
    _ estimator: Estimator, _ random: inout SeededRandom
) throws {
    var (plain, disturbed) = (estimator, estimator)
    var time = BatchTime.zero
    for _ in 0..<20 {
        var batch = CompletedBatch(after: time, &random)
        time = batch.time
        // Of one without elements or work there is nothing to take into account.
        batch.elements += 1
        batch.processing += .milliseconds(1)
        let (expected, rate) = (plain.compute(batch), disturbed.compute(batch))
        try require(
            expected == rate, "a batch whose time has not advanced is ignored, also by later ones")
        var old = CompletedBatch(after: time, &random)
        for delay in [0, random.int(1...5000)] {
            old.time = time - .milliseconds(delay)
            try require(
                disturbed.compute(old) == nil,
                "a batch whose time has not advanced leaves the rate as it is")
        }
    }
}

private func checkCopies<Estimator: RateEstimator>(
    _ estimator: Estimator, _ random: inout SeededRandom
) throws {
    var time = BatchTime.zero
    let batches = (0..<20).map { _ in
        let batch = CompletedBatch(after: time, &random)
        time = batch.time
        return batch
    }
    var (first, second) = (estimator, estimator)
    let rates = batches.map { first.compute($0) }
    let again = batches.map { second.compute($0) }
    try require(rates == again, "a copy is an estimator of its own, and estimates the same")
}
