/// An error that is known by a code: another process can make it again.
package protocol CodedError: Error {
    /// The code's name.
    var codeName: String { get }
    /// What happened, in words.
    var message: String { get }
    /// The place in the user's source.
    var site: OperatorSite? { get }
    /// What led to it.
    var underlying: (any Error)? { get }
}
