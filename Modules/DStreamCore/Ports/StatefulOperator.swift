/// An operator that keeps something between batches, as checkpoints name it.
public struct StatefulOperator: Sendable, Hashable, CustomStringConvertible {
    /// What the program calls, such as `updateStateByKey`.
    public var kind: String
    /// The name given with `named(_:)`.
    public var name: String?
    /// The binary form of what is kept, such as `(String,Int)`.
    public var shape: String
    /// Its place among the unnamed operators of the same kind and shape, from 0.
    public var number: Int

    /// Makes a description.
    public init(kind: String, name: String?, shape: String, number: Int = 0) {
        self.kind = kind
        self.name = name
        self.shape = shape
        self.number = number
    }

    /// What people call it: the same in every run of the same program.
    public var id: String {
        if let name { "\(kind) \"\(name)\"" } else { "\(kind) of \(shape) #\(number)" }
    }

    /// What pieces of state are filed under: another one when their shape is another.
    public var stateID: String { name == nil ? id : "\(id) of \(shape)" }

    /// The id.
    public var description: String { id }
}
