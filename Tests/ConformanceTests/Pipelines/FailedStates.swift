import DStreamCore

// What state is after a batch that failed: as of the last good one, where Spark fails ever after.
extension PipelineConformance {
    /// The state of the keys of a case, and what its outputs are called with.
    private struct States {
        var calls: [CaseBatch] = []
        var snapshots: [CaseBatch] = []
        var errors: [CaseError] = []

        /// One error for each output operation.
        mutating func fail(_ time: Int64, _ cause: CaseError.Cause, outputs: Int) {
            let error = CaseError(phase: .runJob, time: time, cause: cause)
            errors += [CaseError](repeating: error, count: outputs)
        }
    }

    /// What is to come out of a case whose functions throw; nil: it is none.
    static func intendedState(
        _ recorded: Expectation, _ piece: RecordedCase
    ) throws -> Expectation? {
        guard recorded.errors.contains(where: { $0.phase == .runJob }) else { return nil }
        let times = try CaseTimes(piece.params)
        let input = try recorded.inputs[0].map { try $0?.map(ElementForm.counted.read) }
        let states: States
        switch piece.pipeline {
        case "updateStateByKey.throws": states = sumsUnlessThree(input, times)
        case "mapWithState.misuse.update_after_remove": states = neverUpdated(input, times)
        case "mapWithState.misuse.update_while_timing_out":
            states = updatedWhileTimingOut(input, times)
        default: return nil
        }
        var intended = recorded
        intended.outputs = states.calls
        intended.errors = states.errors
        if recorded.extraOutputs["stateSnapshots"] != nil {
            intended.extraOutputs["stateSnapshots"] = states.snapshots
        }
        return intended
    }

    /// Sums by key; a batch with a 3 fails.
    private static func sumsUnlessThree(_ input: [[(String, Int)]?], _ times: CaseTimes) -> States {
        var (states, sums) = (States(), [String: Int]?.none)
        for (index, records) in input.enumerated() {
            let time = times.time(index + 1)
            if records?.contains(where: { $0.1 == 3 }) == true {
                states.fail(time, .thrown("three"), outputs: 1)
                continue
            }
            // Without an RDD before the first state there is none.
            if records == nil, sums == nil { continue }
            var now = sums ?? [:]
            for (key, value) in records ?? [] { now[key, default: 0] += value }
            sums = now
            let elements = now.map { ElementForm.counted.write(($0.key, $0.value)) }
            states.calls.append(CaseBatch(time: time, elements: elements))
        }
        return states
    }

    /// Each record fails its batch.
    private static func neverUpdated(_ input: [[(String, Int)]?], _ times: CaseTimes) -> States {
        var states = States()
        for (index, records) in input.enumerated() {
            let time = times.time(index + 1)
            if records?.isEmpty == false {
                states.fail(time, .code(.stateRemoved), outputs: 2)
            } else {
                states.calls.append(CaseBatch(time: time, elements: []))
                states.snapshots.append(CaseBatch(time: time, elements: []))
            }
        }
        return states
    }

    /// A key that was not updated for more than a second fails its batch.
    private static func updatedWhileTimingOut(
        _ input: [[(String, Int)]?], _ times: CaseTimes
    ) -> States {
        var (states, updates) = (States(), [String: Int64]())
        for (index, records) in input.enumerated() {
            let time = times.time(index + 1)
            var now = updates
            for (key, _) in records ?? [] { now[key] = time }
            if now.values.contains(where: { time - $0 > 1000 }) {
                states.fail(time, .code(.stateTimingOut), outputs: 2)
                continue
            }
            updates = now
            let ones = [PieceJSON](repeating: .int(1), count: records?.count ?? 0)
            states.calls.append(CaseBatch(time: time, elements: ones))
            let elements = now.keys.map { ElementForm.counted.write(($0, 1)) }
            states.snapshots.append(CaseBatch(time: time, elements: elements))
        }
        return states
    }
}
