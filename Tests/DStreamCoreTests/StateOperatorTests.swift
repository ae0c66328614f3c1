import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// What the operators that keep state promise beyond the histories.
@Suite(.timeLimit(.minutes(5))) struct StateOperatorTests {
    private typealias Sum = StateSpec<String, Int, Int, (String, Int)>

    private static let sum = Sum.function { key, value, state in
        if state.isTimingOut { return (key, -1) }
        let sum = (value ?? 0) + (state.getOption() ?? 0)
        try state.update(sum)
        return (key, sum)
    }

    private func code(_ body: () throws -> Void) -> StreamError.Code? {
        do {
            try body()
            return nil
        } catch { return (error as? StreamError)?.code }
    }

    @Test func aStateSaysWhatItCannotDo() async throws {
        let run = StateRun()
        let codes = Recorded<StreamError.Code?>()
        let stream = run.input([[("a", 1)]]).mapWithState(
            Sum.function { key, value, state in
                var seen: [StreamError.Code?] = []
                if state.isTimingOut {
                    seen = [code { try state.update(1) }, code { try state.remove() }]
                    #expect(state.exists && value == nil && state.getOption() == 2)
                    codes.set(seen, at: .seconds(3))
                    return (key, try state.get())
                }
                seen.append(code { _ = try state.get() })
                seen.append(code { try state.remove() })
                seen.append(code { try state.remove() })
                seen.append(code { try state.update(1) })
                codes.set(seen, at: .seconds(1))
                return (key, 0)
            }.timeout(.seconds(1)).initialState(run.batch.parallelize([("b", 2)])))
        stream.foreachRDD { _ = try await $0.count() }
        try run.start()
        #expect(try await run.run(batches: 3).isEmpty)
        #expect(codes.all[1] == [.stateNotSet, nil, .stateRemoved, .stateRemoved])
        #expect(codes.all[3] == [.stateTimingOut, .stateTimingOut])
    }

    /// A window over snapshots reads each as of its own batch, though all were applied by then.
    @Test
    func snapshotsAreThoseOfTheirBatch() async throws {
        let run = StateRun()
        let batches: [[(String, Int)]?] = (1...12).map { [("a", $0), ("k\($0 % 4)", 1)] }
        let stream = run.input(batches).mapWithState(Self.sum.timeout(.seconds(2)))
        stream.foreachRDD { _ = try await $0.count() }
        let single = run.record(stream.stateSnapshots())
        let windowed = run.record(
            stream.stateSnapshots().window(.seconds(6), slide: .seconds(6)))
        try run.start()
        #expect(try await run.run(batches: 12).isEmpty)
        for last in [6, 12] {
            let expected = ((last - 5)...last).flatMap { single.sorted[$0] ?? [] }.sorted()
            #expect(windowed.sorted[last] == expected)
        }
        #expect(single.sorted[12]?.count == 4)
    }

    /// The function runs once per record, however many outputs there are.
    @Test func theUpdateRunsOncePerBatch() async throws {
        let run = StateRun()
        let calls = Accumulator<Int>()
        let stream = run.input([[("a", 1), ("b", 1)], [("a", 1)]]).mapWithState(
            Sum.function { key, value, state in
                calls.add(1)
                try state.update(value ?? 0)
                return (key, 0)
            })
        for _ in 1...3 { stream.foreachRDD { _ = try await $0.count() } }
        stream.stateSnapshots().foreachRDD { _ = try await $0.count() }
        try run.start()
        #expect(try await run.run(batches: 2).isEmpty)
        #expect(calls.value == 3)
    }

    /// Two operators with state, one on top of the other, and one beside the other.
    @Test func operatorsWithStateStandOnOneAnother() async throws {
        let run = StateRun()
        let input = run.input([[("a", 1)], [("a", 2)], [("b", 3)]])
        let sums: DStream<(String, Int)> = input.mapWithState(Self.sum)
        let recorded = run.record(sums.mapWithState(Self.sum).mapped.union(sums))
        let kept = run.record(
            sums.updateStateByKey { values, state in values.last ?? state })
        try run.start()
        #expect(try await run.run(batches: 3).isEmpty)
        #expect(recorded.sorted[2] == ["(\"a\", 3)", "(\"a\", 4)"])
        #expect(kept.sorted[3] == ["(\"a\", 3)", "(\"b\", 3)"])
    }

    /// Who looks ahead sees nothing of the state to come, and changes nothing.
    @Test
    func slicesDoNotDisturbTheState() async throws {
        let run = StateRun()
        let sums = run.input([[("a", 1)], [("a", 2)], [("a", 3)]]).mapWithState(Self.sum).mapped
        let recorded = run.record(sums)
        let slices = Recorded<Int>()
        sums.foreachRDD { _, time in
            let all = try await sums.slice(from: .zero, through: time + .seconds(5))
            var values: [Int] = []
            for rdd in all { values += try await rdd.map { $0.1 }.collect() }
            slices.set(values, at: time)
        }
        try run.start()
        #expect(try await run.run(batches: 3).isEmpty)
        #expect(slices.all == [1: [1], 2: [1, 3], 3: [1, 3, 6]])
        #expect(recorded.sorted[3] == ["(\"a\", 6)"])
    }

    /// Keys that come out twice have two states until a batch with an RDD.
    @Test func theWholePartitionFormMayRepeatKeys() async throws {
        let run = StateRun()
        let batches: [[(String, Int)]?] = [[("a", 1)], nil, [("b", 1)], []]
        let states: DStream<(String, Int)> = run.input(batches).updateStateByKey(
            partitioner: HashPartitioner<String>(partitionCount: 1)
        ) { entries in
            entries.flatMap { key, values, state in
                values.isEmpty
                    ? [(key, (state ?? 0) + 10)] : [(key, values.count), (key, values.count + 1)]
            }
        }
        let recorded = run.record(states)
        try run.start()
        #expect(try await run.run(batches: 4).isEmpty)
        #expect(recorded.sorted[1] == ["(\"a\", 1)", "(\"a\", 2)"])
        #expect(recorded.sorted[2] == ["(\"a\", 11)", "(\"a\", 12)"])
        #expect(recorded.sorted[3] == ["(\"a\", 21)", "(\"b\", 1)", "(\"b\", 2)"])
        #expect(recorded.sorted[4] == ["(\"a\", 31)", "(\"b\", 11)"])
    }

    @Test func badDeclarationsAreRecorded() throws {
        let run = StateRun()
        let input = run.input([[("a", 1)]])
        let stream = input.mapWithState(Self.sum.numPartitions(0).timeout(.seconds(-1)))
        stream.print()
        input.updateStateByKey(partitions: -1) { (_: [Int], state: Int?) in state }.print()
        do {
            try run.start()
            Issue.record("nothing was refused")
        } catch let error as StreamError {
            #expect(error.parts.map(\.code) == [.badDeclaration, .badDeclaration, .badDeclaration])
            #expect(error.parts.allSatisfy { $0.site?.file.hasSuffix("Tests.swift") ?? false })
        }
    }

    @Test func anEngineWithoutStateSaysSo() async throws {
        let context = TaskContext(partition: 0)
        #expect(throws: EngineError.self) {
            _ = try context.stateStore.cell(of: .next(), partition: 0) {
                StateCell(StateTable<Int, Int>(hasTimers: false))
            }
        }
    }

    /// The fingerprint tells programs with other states apart.
    @Test func theFingerprintNamesTheState() {
        func fingerprint<StateValue: Sendable>(_ type: StateValue.Type) -> String {
            let run = StateRun()
            run.input([[("a", 1)]]).mapWithState(
                StateSpec<String, Int, StateValue, Int>.function { _, _, _ in 1 }
            ).print()
            return run.graph.fingerprint
        }
        #expect(fingerprint(Int.self) != fingerprint([String].self))
        #expect(fingerprint(Int.self) == fingerprint(Int.self))
    }
}
