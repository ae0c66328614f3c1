public import BatchEngine
internal import DStreamCore
internal import Synchronization

/// Checks that an engine keeps the promises of `ExecutionEngine`.
///
/// - Parameter make: makes an engine that has done nothing yet; called several times.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the engine threw.
public func checkExecutionEngine(_ make: () -> any ExecutionEngine) async throws {
    let engine = make()
    try await checkResults(engine)
    try await checkPlans(engine)
    try await checkRetries(engine)
    try await checkSharing(engine)
    try await checkDatasets(engine)
    try await checkPerform(engine)
    try await checkReceive(engine)
    try await checkReceiveTurns(engine)
    try await checkCancellation(engine)
    engine.shutdown()
    engine.shutdown()
    try await checkRefusal(engine, .stopped)
    let abandoned = make()
    abandoned.abandon(reason: "check")
    try await checkRefusal(abandoned, .abandoned)
}

private struct Refused: Error {}

private let site = OperatorSite("check", file: #fileID, line: #line)

/// Elements enough that no engine takes them for a small input.
private let many = 20_000

private func checkResults(_ engine: any ExecutionEngine) async throws {
    let context = BatchContext(engine: engine)
    for count in [0, 1, 7, many] {
        for partitions in [1, 3, 8] {
            let rdd = context.parallelize(0..<count, partitions: partitions).map { $0 * 2 }
            let elements = try await rdd.collect()
            try require(
                elements == (0..<count).map { $0 * 2 },
                "\(count) elements in \(partitions) partitions come in partition order")
            let number = try await rdd.count()
            try require(number == count, "\(count) elements are counted: \(number)")
        }
    }
    let taken = try await context.parallelize(0..<100, partitions: 10).take(25)
    try require(taken == Array(0..<25), "take returns the first elements: \(taken)")
    let none = try await context.emptyRDD(of: Int.self).collect()
    try require(none.isEmpty, "an RDD without partitions is empty")
}

private func checkPlans(_ engine: any ExecutionEngine) async throws {
    let context = BatchContext(engine: engine)
    let numbers = context.parallelize(0..<many, partitions: 5)
    let sums = try await numbers.map { ($0 % 10, $0) }.reduceByKey(partitions: 3, +).collect()
    let expected = (0..<10).map { digit in
        stride(from: digit, to: many, by: 10).reduce(0, +)
    }
    try require(sums.count == 10, "each key comes once: \(sums.count)")
    for (key, sum) in sums { try require(sum == expected[key], "key \(key) sums up: \(sum)") }
    let union = try await numbers.union(numbers.map { -$0 }).collect()
    try require(
        union == Array(0..<many) + (0..<many).map { -$0 }, "a union keeps its inputs' order")
    let joined = try await numbers.glom().coalesce(2).map { $0.count }.collect()
    try require(
        joined == [Int](repeating: many / 5, count: 5),
        "partitions that were joined are computed one by one: \(joined)")
    let indexed = try await numbers.zipWithIndex().collect()
    try require(indexed.allSatisfy { $0.0 == $0.1 }, "zipWithIndex counts over partitions")
    let zipped = Plan.zip([numbers.plan, context.parallelize([1], partitions: 2).plan])
    do {
        _ = try await RDD(context: context, plan: zipped, pipe: Pipe<Int>.source(site)).collect()
        throw CheckFailure("inputs that do not fit side by side are refused")
    } catch let error as EngineError where error.code == .invalidPlan {}
}

private func checkRetries(_ engine: any ExecutionEngine) async throws {
    let context = BatchContext(engine: engine, maxTaskFailures: 3)
    let attempts = Locked<[Int]>([])
    let added = Accumulator<Int>()
    let rdd = context.parallelize(0..<4, partitions: 4).map { element in
        added.add(1)
        guard element == 2, let task = TaskContext.current else { return element }
        attempts.withLock { $0.append(task.attempt) }
        if task.attempt < 2 { throw Refused() }
        return element
    }
    let elements = try await rdd.collect()
    try require(elements == [0, 1, 2, 3], "a task that fails twice of three times counts")
    let seen = attempts.withLock { $0 }
    try require(seen == [0, 1, 2], "attempts are numbered: \(seen)")
    try require(added.value == 4, "additions count once, however many tries: \(added.value)")
    do {
        _ = try await context.parallelize(0..<4, partitions: 4).map { element in
            if element == 2 { throw Refused() }
            return element
        }.collect()
        throw CheckFailure("a task that fails for good fails the request")
    } catch let error as EngineError where error.code == .taskFailed {
        try require(error.partition == 2, "the failure names the partition: \(error)")
        try require(error.attempts == 3, "the failure names the attempts: \(error)")
        try require(error.site?.name == "map", "the failure names the operator: \(error)")
        try require(error.underlying is Refused, "the failure holds the cause: \(error)")
    }
}

private func checkSharing(_ engine: any ExecutionEngine) async throws {
    let runs = Locked(0)
    let shared = BatchContext(engine: engine).parallelize(0..<many, partitions: 4)
        .map { (element: Int) -> (Int, Int) in
            if element == 0 { runs.withLock { $0 += 1 } }
            return (element % 10, 1)
        }.reduceByKey(+)
    try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<4 {
            group.addTask { try await shared.map { $0.1 }.collect().reduce(0, +) }
        }
        for try await sum in group { try require(sum == many, "every request sees it all: \(sum)") }
    }
    let count = runs.withLock { $0 }
    try require(count == 1, "requests at the same time share a shuffle: it ran \(count) times")
}

private func checkDatasets(_ engine: any ExecutionEngine) async throws {
    let runs = Locked(0)
    let before = engine.blockStore.usage.blockCount
    do {
        let kept = BatchContext(engine: engine).parallelize(0..<3, partitions: 3)
            .map { element in
                runs.withLock { $0 += 1 }
                return element
            }.persist()
        for round in 1...2 {
            for _ in 0..<2 {
                let elements = try await kept.collect()
                try require(elements == [0, 1, 2], "a kept dataset reads back: \(elements)")
            }
            let count = runs.withLock { $0 }
            try require(count == 3 * round, "a kept dataset is computed once: \(count)")
            let blocks = engine.blockStore.usage.blockCount - before
            try require(blocks == 3, "its partitions are in the store: \(blocks)")
            kept.unpersist()
            let left = engine.blockStore.usage.blockCount - before
            try require(left == 0, "unpersist removes them: \(left)")
        }
        _ = try await kept.collect()
    }
    let left = engine.blockStore.usage.blockCount - before
    try require(left == 0, "the end of the last reference removes them: \(left)")
}

private func checkPerform(_ engine: any ExecutionEngine) async throws {
    let seen = Locked<[Int]>([])
    try await engine.perform("check") {
        let elements = try await BatchContext(engine: engine).parallelize(0..<3).collect()
        seen.withLock { $0 = elements }
    }
    let elements = seen.withLock { $0 }
    try require(elements == [0, 1, 2], "a body can run requests and has ended: \(elements)")
    do {
        try await engine.perform("check") { throw Refused() }
        throw CheckFailure("perform throws what the body throws")
    } catch is Refused {}
}

private func checkReceive(_ engine: any ExecutionEngine) async throws {
    let kernel = Kernel(id: .nextDynamic(), site: site) { context, _, _ in
        [.values(Values([context.partition]))]
    }
    let plan = BatchContext(engine: engine).parallelize(0..<many, partitions: 6).plan
    let received = Locked<[Int]>([])
    var request = StageRequest(
        plan: plan, kernel: kernel, partitions: 2..<5, batchMilliseconds: 7, maxTaskFailures: 1)
    try await engine.run(request) { index, contents in
        if case .values(let values)? = contents.first,
            (values as? Values<Int>)?.elements == [index]
        {
            received.withLock { $0.append(index) }
        }
    }
    let partitions = received.withLock { $0.sorted() }
    try require(partitions == [2, 3, 4], "only the asked partitions run: \(partitions)")
    request.partitions = nil
    do {
        try await engine.run(request) { _, _ in throw Refused() }
        throw CheckFailure("an error of the receiver ends the request")
    } catch is Refused {}
}

/// Each call lasts a little, so that other calls of an engine that does not wait come meanwhile.
private func checkReceiveTurns(_ engine: any ExecutionEngine) async throws {
    let partitions = 64
    let kernel = Kernel(id: .nextDynamic(), site: site) { _, _, _ in [] }
    let plan = BatchContext(engine: engine).parallelize(0..<many, partitions: partitions).plan
    let request = StageRequest(
        plan: plan, kernel: kernel, batchMilliseconds: nil, maxTaskFailures: 1)
    let calls = Locked((current: 0, most: 0, indices: [Int]()))
    let clock = SystemStreamClock()
    try await engine.run(request) { index, _ in
        calls.withLock { calls in
            calls.current += 1
            calls.most = max(calls.most, calls.current)
            calls.indices.append(index)
        }
        let end = clock.monotonicNow + .milliseconds(1)
        while clock.monotonicNow < end {}
        calls.withLock { $0.current -= 1 }
    }
    let (_, most, indices) = calls.withLock { $0 }
    try require(most == 1, "receive is called once at a time: \(most) calls at once")
    try require(
        indices.sorted() == Array(0..<partitions), "each partition is received once: \(indices)")
}

private func checkCancellation(_ engine: any ExecutionEngine) async throws {
    let endless = BatchContext(engine: engine).parallelize([0], partitions: 1)
        .flatMap { _ in sequence(first: 0) { $0 &+ 1 } }
    do {
        try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask { try await endless.count() }
            group.cancelAll()
            for try await _ in group {}
        }
        throw CheckFailure("a cancelled request does not end as if nothing had happened")
    } catch is CancellationError {}
    let next = try await BatchContext(engine: engine).parallelize(0..<3).count()
    try require(next == 3, "after a cancelled request the engine goes on")
}

private func checkRefusal(_ engine: any ExecutionEngine, _ code: EngineError.Code) async throws {
    do {
        _ = try await BatchContext(engine: engine).parallelize(0..<3).count()
        throw CheckFailure("an engine that has ended refuses requests")
    } catch let error as EngineError where error.code == code {}
    do {
        try await engine.perform("check") {}
        throw CheckFailure("an engine that has ended refuses bodies")
    } catch let error as EngineError where error.code == code {}
}
