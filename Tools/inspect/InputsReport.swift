import BatchEngine
import DStreamCore
import FaultTolerance

/// What batches of a checkpoint directory read that a restart runs again.
struct InputsReport {
    private let directory: String

    init(_ directory: String) { self.directory = directory }

    /// Prints it.
    func print() async throws -> Bool {
        let pending = try await PendingInputs.read(from: directory)
        for input in pending.inputs { Swift.print("\(input)") }
        if pending.inputs.isEmpty {
            Swift.print("no batch that runs again has chosen files or offsets in \(directory)")
        }
        return true
    }

    /// Leaves parts of a batch's input out.
    ///
    /// - Parameter arguments: the batch in milliseconds, the number of the stream, and names.
    func forget(_ arguments: [String]) async throws -> Bool {
        guard let batch = Int64(arguments[0]), let stream = Int(arguments[1]) else {
            Swift.print(
                "\(arguments[0]) \(arguments[1]): not a batch in milliseconds and the number of a "
                    + "stream; both are printed by inspect inputs \(directory)")
            return false
        }
        let names = arguments.count > 2 ? Array(arguments[2...]) : nil
        let input = try await PendingInputs.forget(
            names, of: StreamID(stream), for: BatchTime(milliseconds: batch), in: directory)
        Swift.print("\(input)")
        return true
    }
}
