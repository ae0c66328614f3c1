import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// What keeping state costs: counted, not timed.
@Suite struct StateCostTests {
    private typealias Sum = StateSpec<Int, Int, Int, (Int, Int)>

    private static let sum = Sum.function { key, value, state in
        if state.isTimingOut { return (key, -1) }
        let sum = (value ?? 0) + (state.getOption() ?? 0)
        try state.update(sum)
        return (key, sum)
    }

    /// State for ten thousand batches, some of which fail: nothing grows.
    @Test(.timeLimit(.minutes(5)))
    func tenThousandBatchesTakeConstantMemoryAndWork() async throws {
        let engine = InlineEngine()
        let run = StateRun(engine)
        let input = run.graph.inputStream { time, context in
            let second = Int(time.milliseconds / 1000)
            return context.batch.parallelize((0..<4).map { ((second * 7 + $0 * 3) % 50, second) })
        }
        let counts = input.mapWithState(
            Sum.function { key, value, state in
                if value.map({ $0 % 100 == 77 }) ?? false { throw Refused() }
                if state.isTimingOut { return (key, -1) }
                try state.update((value ?? 0) + (state.getOption() ?? 0))
                return (key, 1)
            }.timeout(.seconds(5)))
        let states = input.updateStateByKey { values, state in
            values.isEmpty && state ?? 0 > 4 ? nil : (values.isEmpty ? (state ?? 0) + 1 : 0)
        }
        counts.foreachRDD { _ = try await $0.count() }
        counts.stateSnapshots().foreachRDD { _ = try await $0.count() }
        states.foreachRDD { _ = try await $0.count() }
        try run.start()
        var most = (keys: 0, logs: 0, undos: 0, blocks: 0, plans: 0, touches: 0)
        var touched = 0
        var failures = 0
        for second in 1...10_000 {
            failures += await run.run(try await run.make()).count
            let usage = engine.stateStore.usage
            let touches = usage.touchCount - touched
            touched = usage.touchCount
            guard second > 100 else { continue }
            most.keys = max(most.keys, usage.keyCount)
            most.logs = max(most.logs, usage.undoLogCount)
            most.undos = max(most.undos, usage.undoCount)
            most.blocks = max(most.blocks, engine.blockStore.usage.blockCount)
            most.plans = max(most.plans, run.graph.nodes.map(\.rememberedTimes.count).max() ?? 0)
            most.touches = max(most.touches, touches)
        }
        print("state for 10,000 batches, at most: \(most)")
        // Both the mapped output and the snapshot of a failing batch fail.
        #expect(failures == 200)
        #expect(most.keys <= 4 * 7)
        #expect(most.logs <= 2 * 3)
        #expect(most.undos <= 3 * 8)
        #expect(most.blocks <= 2 * 2 * 21)
        #expect(most.plans <= 20)
        #expect(most.touches <= 150)
        run.graph.clear()
        #expect(engine.stateStore.usage == StateUsage())
    }

    /// A batch looks at the keys it has records for and at those that are due, and at no others.
    @Test(.timeLimit(.minutes(5)), arguments: [1_000, 50_000])
    func aBatchCostsWhatItTouches(keys: Int) async throws {
        let run = StateRun()
        let initial = run.batch.parallelize((0..<keys).map { ($0, $0) })
        let batches: [[(Int, Int)]?] = [[], [(1, 1), (2, 2), (3, 3)], [(4, 4)], nil, []]
        let stream = run.input(batches)
            .mapWithState(Self.sum.initialState(initial).timeout(.seconds(1_000)))
        let mapped = run.record(stream.mapped)
        try run.start()
        var touches: [Int] = []
        for _ in 1...5 {
            let before = run.engine.stateStore.usage.touchCount
            #expect(try await run.run(batches: 1).isEmpty)
            touches.append(run.engine.stateStore.usage.touchCount - before)
        }
        #expect(mapped.all[2]?.count == 3)
        #expect(touches == [keys, 3, 1, 0, 0])
        #expect(run.engine.stateStore.usage.keyCount == keys)
    }

    /// Keys that are due cost as much as they are.
    @Test(.timeLimit(.minutes(5)))
    func timeOutsCostTheKeysThatAreDue() async throws {
        let run = StateRun()
        let initial = run.batch.parallelize((0..<10_000).map { ($0, $0) })
        let renewed: [[(Int, Int)]?] = (1...4).map { second in
            (10..<10_000).filter { $0 % 4 == second - 1 }.map { ($0, 0) }
        }
        let stream = run.input(renewed)
            .mapWithState(Self.sum.initialState(initial).timeout(.seconds(4)))
        let mapped = run.record(stream.mapped.filter { $0.1 == -1 })
        try run.start()
        #expect(try await run.run(batches: 5).isEmpty)
        let before = run.engine.stateStore.usage.touchCount
        #expect(try await run.run(batches: 1).isEmpty)
        #expect(run.engine.stateStore.usage.touchCount - before <= 3 * 2510)
        #expect(mapped.all[5]?.isEmpty == true)
        #expect(mapped.all[6]?.count == 10 + (renewed[0]?.count ?? 0))
    }

    /// How many datasets, and what follows them, plans refer to, each once.
    private func followings(below plans: [Plan]) -> Int {
        var seen: Set<ObjectIdentifier> = []
        var open = plans
        while let plan = open.popLast() {
            switch plan {
            case .source: break
            case .exchange(let exchange): if let input = exchange.input { open.append(input) }
            case .union(let plans), .zip(let plans): open += plans
            case .coalesce(let plan, _), .dynamic(_, let plan): open.append(plan)
            case .dataset(let dataset):
                guard seen.insert(ObjectIdentifier(dataset)).inserted else { break }
                if let input = dataset.input { open.append(input) }
            case .following(let following):
                guard seen.insert(ObjectIdentifier(following)).inserted else { break }
                open += [following.plan, .dataset(following.dataset)]
                if let otherwise = following.otherwise { open.append(otherwise) }
            }
        }
        return seen.count
    }

    /// Batches that wait share what they are built on.
    @Test(.timeLimit(.minutes(5)), arguments: [false, true])
    func waitingBatchesTakeWhatTheyAdd(usesMapWithState: Bool) async throws {
        let run = StateRun()
        let input = run.input((1...2_000).map { [($0 % 7, $0)] })
        let states: StreamNode
        if usesMapWithState {
            let stream = input.mapWithState(Self.sum)
            _ = run.record(stream.mapped)
            states = stream.mapped.node
        } else {
            let stream = input.updateStateByKey { values, sum in values.reduce(sum ?? 0, +) }
            _ = run.record(stream)
            states = stream.node
        }
        try run.start()
        func retained() async throws -> Int {
            var plans: [Plan] = []
            for time in states.rememberedTimes {
                if let plan = try await states.plan(at: time, run.context) { plans.append(plan) }
            }
            return followings(below: plans)
        }
        var waiting: [StateRun.Batch] = []
        for _ in 1...500 { waiting.append(try await run.make()) }
        let most = try await retained()
        #expect(most <= 2 * 500, "a dataset per batch, and what follows it")
        // As many batches wait for a long time.
        for _ in 1...1_000 {
            waiting.append(try await run.make())
            #expect(await run.run(waiting.removeFirst()).isEmpty)
        }
        #expect(try await retained() <= most + 100, "what is done is let go")
        for batch in waiting { #expect(await run.run(batch).isEmpty) }
        #expect(try await retained() <= 100)
    }
}
