import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// What windows are after a batch that failed, or that nobody looked at.
@Suite(.timeLimit(.minutes(5))) struct WindowFailureTests {
    private static let batches: [[(String, Int)]?] = (1...9).map { [("a", $0), ("b\($0 % 3)", 1)] }

    private func builder() throws -> PipelineBuilder {
        try PipelineBuilder(
            params: try PieceStep(
                .object([
                    "batchMillis": .int(1000), "numBatches": .int(9), "checkpointDir": .bool(true),
                ])), inputs: [])
    }

    private func expectOnlyWindowsWithTheThirdBatchFailed(
        _ builder: PipelineBuilder, _ errors: [CaseError], _ hasInverse: Bool
    ) {
        let stream = ModelStream(Self.batches)
        let model = hasInverse ? stream.inverseSums(2, 1) { $0 != 0 } : stream.sums(2, 1)
        let expected = model.calls(batchMillis: 1000, zeroMillis: 0)
            .filter { ![3000, 4000].contains($0.time) }
        let differences = CaseOrder.unordered.differences(
            "output", ours: builder.outputs[0].read().map(\.withoutPartitionCount),
            expected: expected)
        let times = errors.map(\.time)
        #expect(times == [3000, 4000])
        #expect(differences.isEmpty)
    }

    /// A batch that cannot be generated is missed only by the windows that hold it.
    @Test(arguments: [true, false])
    func aBatchThatIsNotGeneratedDoesNotPoisonLaterWindows(hasInverse: Bool) async throws {
        let builder = try builder()
        let input = builder.harness.input(Self.batches).transform { rdd, time in
            if time == .milliseconds(3000) { throw CaseFailure(description: "gen") }
            return rdd
        }
        builder.output(summed(input, hasInverse: hasInverse), .counted)
        let errors = await builder.run()
        expectOnlyWindowsWithTheThirdBatchFailed(builder, errors, hasInverse)
    }

    /// A batch whose elements cannot be computed is missed only by the windows that hold it.
    @Test(arguments: [true, false])
    func aBatchThatIsNotComputedDoesNotPoisonLaterWindows(hasInverse: Bool) async throws {
        let builder = try builder()
        let input = builder.harness.input(Self.batches).map { pair in
            if pair.1 == 3 { throw CaseFailure(description: "boom") }
            return pair
        }
        builder.output(summed(input, hasInverse: hasInverse), .counted)
        let errors = await builder.run()
        expectOnlyWindowsWithTheThirdBatchFailed(builder, errors, hasInverse)
    }

    /// Windows that are not computed in every batch are right when they are.
    @Test(arguments: [true, false])
    func windowsNobodyLooksAtAreRightLater(hasInverse: Bool) async throws {
        let builder = try builder()
        let stream = summed(builder.harness.input(Self.batches), hasInverse: hasInverse)
        let seen = Collected<CaseBatch>()
        stream.foreachRDD { rdd, time in
            guard time.milliseconds % 4000 == 0 else { return }
            let elements = try await rdd.collect().map { ElementForm.counted.write($0) }
            seen.append(CaseBatch(time: time.milliseconds, elements: elements))
        }
        #expect(await builder.run().isEmpty)
        let model = ModelStream(Self.batches)
        let sums = hasInverse ? model.inverseSums(2, 1) { $0 != 0 } : model.sums(2, 1)
        let differences = CaseOrder.unordered.differences(
            "output", ours: seen.take(),
            expected: sums.calls(batchMillis: 1000, zeroMillis: 0)
                .filter { $0.time % 4000 == 0 })
        #expect(differences.isEmpty)
    }

    /// A window of many panes is made of parts that others are made of: none is lost for good.
    @Test(arguments: [1, 2, 5, 6, 7, 11, 12, 13, 14, 15], [true, false])
    func onlyWindowsWithTheFailedBatchFail(failing: Int, isGenerated: Bool) async throws {
        let batches: [[(String, Int)]?] = (1...40).map { [("a", $0), ("b\($0 % 3)", 1)] }
        let builder = try PipelineBuilder(
            params: try PieceStep(
                .object(["batchMillis": .int(1000), "numBatches": .int(40)])), inputs: [])
        let input = builder.harness.input(batches)
        let broken =
            isGenerated
            ? input.map { pair in
                if pair.1 == failing, pair.0 == "a" { throw CaseFailure(description: "boom") }
                return pair
            }
            : input.transform { rdd, time in
                if time.milliseconds / 1000 == failing { throw CaseFailure(description: "gen") }
                return rdd
            }
        builder.output(
            broken.mapValues { "\($0) " }
                .reduceByKeyAndWindow(window: .seconds(12)) { $0 + $1 },
            .pair(.string, .string))
        let errors = await builder.run()
        let fails = failing..<failing + 12
        #expect(errors.map(\.time) == fails.map { Int64($0) * 1000 })
        let model = ModelStream(batches.map { $0?.map { ($0.0, "\($0.1) ") } })
            .reduceByKey(12, 1) { $0 + $1 }
            .calls(.pair(.string, .string), batchMillis: 1000, zeroMillis: 0)
            .filter { !fails.contains(Int($0.time / 1000)) }
        let differences = CaseOrder.unordered.differences(
            "output", ours: builder.outputs[0].read().map(\.withoutPartitionCount),
            expected: model)
        #expect(differences.isEmpty)
    }

    private func summed(
        _ input: DStream<(String, Int)>, hasInverse: Bool
    ) -> DStream<(String, Int)> {
        guard hasInverse else { return input.reduceByKeyAndWindow(+, window: .seconds(2)) }
        return input.reduceByKeyAndWindow(
            { $0 + $1 }, inverse: { $0 - $1 }, window: .seconds(2), filter: { $0.1 != 0 })
    }
}
